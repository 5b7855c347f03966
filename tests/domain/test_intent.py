from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wichtel.domain import (
    BUILT_IN_INTENTS,
    PRIMARY,
    Constraint,
    Estimate,
    Expectation,
    Intent,
    InvalidInput,
    Outcome,
    UserError,
    Verdict,
    VerdictStatus,
    judge,
)

numbers = st.floats(-1e6, 1e6)


def estimate(metric: str = "auc", *, low: float, high: float, relative: bool = False, **other: Any) -> Estimate:
    """Bounds in the asked unit; the other unit is not a number, so that nothing may look at it."""
    bounds = {"low": low, "high": high, "relative_low": math.nan, "relative_high": math.nan}
    if relative:
        bounds = {"low": math.nan, "high": math.nan, "relative_low": low, "relative_high": high}
    return Estimate(metric=metric, baseline=1.0, candidate=1.0, confidence=other.pop("confidence", 0.95), method="given", **bounds, **other)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Constraint, Estimate]:
    low, high = sorted([draw(numbers), draw(numbers)])
    relative = draw(st.booleans())
    constraint = Constraint(metric="auc", expectation=draw(st.sampled_from(Expectation)), threshold=draw(numbers), relative=relative)
    return constraint, estimate(low=low, high=high, relative=relative)


def gains(constraint: Constraint, e: Estimate) -> tuple[float, float]:
    low, high = (e.relative_low, e.relative_high) if constraint.relative else (e.low, e.high)
    return (low, high) if constraint.expectation is Expectation.LARGER else (-high, -low)


@given(cases())
def test_a_constraint_holds_if_the_whole_interval_reaches_it_and_is_broken_if_none_of_it_does(case: tuple[Constraint, Estimate]) -> None:
    constraint, e = case
    low, high = gains(constraint, e)
    outcome = judge(constraint, e).outcome
    assert (outcome is Outcome.HOLDS) is (low >= constraint.threshold)
    assert (outcome is Outcome.BROKEN) is (high < constraint.threshold)
    assert (outcome is Outcome.UNPROVEN) is (low < constraint.threshold <= high)


ORDER = [Outcome.BROKEN, Outcome.UNPROVEN, Outcome.HOLDS]


@given(cases(), numbers)
def test_asking_for_more_never_helps(case: tuple[Constraint, Estimate], threshold: float) -> None:
    constraint, e = case
    other = Constraint(metric="auc", expectation=constraint.expectation, threshold=threshold, relative=constraint.relative)
    easier, harder = sorted([constraint, other], key=lambda c: c.threshold)
    assert ORDER.index(judge(harder, e).outcome) <= ORDER.index(judge(easier, e).outcome)


@given(cases(), st.floats(0, 1e6))
def test_more_uncertainty_never_proves_anything(case: tuple[Constraint, Estimate], more: float) -> None:
    constraint, e = case
    low, high = (e.relative_low, e.relative_high) if constraint.relative else (e.low, e.high)
    wider = judge(constraint, estimate(low=low - more, high=high + more, relative=constraint.relative)).outcome
    assert wider in (judge(constraint, e).outcome, Outcome.UNPROVEN)


@given(cases())
def test_larger_and_smaller_mirror_one_another(case: tuple[Constraint, Estimate]) -> None:
    constraint, e = case
    assume(constraint.expectation is Expectation.LARGER)
    low, high = gains(constraint, e)
    mirrored = Constraint(metric="auc", expectation=Expectation.SMALLER, threshold=constraint.threshold, relative=constraint.relative)
    assert judge(mirrored, estimate(low=-high, high=-low, relative=constraint.relative)).outcome is judge(constraint, e).outcome


def test_a_tolerated_loss() -> None:
    neutral = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01)
    assert judge(neutral, estimate(low=-0.009, high=0.001)).outcome is Outcome.HOLDS
    assert judge(neutral, estimate(low=-0.011, high=0.001)).outcome is Outcome.UNPROVEN
    assert judge(neutral, estimate(low=-0.02, high=-0.011)).outcome is Outcome.BROKEN


def test_what_is_not_a_number_proves_nothing() -> None:
    constraint = Constraint(metric="auc", expectation=Expectation.LARGER)
    finding = judge(constraint, estimate(low=math.nan, high=math.nan))
    assert finding.outcome is Outcome.UNPROVEN
    assert "not a number" in finding.reason


def test_an_interval_at_less_confidence_than_asked_proves_nothing() -> None:
    constraint = Constraint(metric="auc", expectation=Expectation.LARGER, confidence=0.99)
    finding = judge(constraint, estimate(low=1, high=2, confidence=0.95))
    assert finding.outcome is Outcome.UNPROVEN
    assert "99%" in finding.reason
    assert judge(constraint, estimate(low=1, high=2, confidence=0.995)).outcome is Outcome.HOLDS


def test_reasons_carry_the_numbers() -> None:
    constraint = Constraint(metric="step_seconds", expectation=Expectation.SMALLER, threshold=0.1, relative=True)
    reason = judge(constraint, estimate(low=-0.3, high=-0.2, relative=True)).reason
    assert reason == "step_seconds at least 10% smaller: a change of -30% to -20% at 95% confidence."
    grown = judge(constraint, estimate(low=0.2, high=0.2, relative=True)).reason
    assert grown == "step_seconds at least 10% smaller: a change of +20% at 95% confidence rules it out."
    same = judge(Constraint(metric="n", expectation=Expectation.SMALLER), estimate(low=0.0, high=0.0)).reason
    assert "-0" not in same


@pytest.mark.parametrize(
    ("kind", "threshold", "text"),
    [
        ("larger", 0.01, "auc at least 0.01 larger"),
        ("smaller", 2, "auc at least 2 smaller"),
        ("larger", -0.01, "auc at most 0.01 smaller"),
        ("smaller", -1.5, "auc at most 1.5 larger"),
        ("larger", 0, "auc not smaller"),
        ("smaller", 0, "auc not larger"),
    ],
)
def test_constraints_read_as_words(kind: Expectation, threshold: float, text: str) -> None:
    assert Constraint(metric="auc", expectation=kind, threshold=threshold).text == text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"metric": ""}, "needs a metric"),
        ({"expectation": "bigger"}, "none of larger, smaller"),
        ({"threshold": math.nan}, "not finite"),
        ({"confidence": 0.5}, "confidence"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 95}, "confidence"),
    ],
)
def test_bad_constraints_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Constraint(**{"metric": "auc", "expectation": "larger", **fields})


AUC = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=0.01)
SIZE = Constraint(metric="model_bytes", expectation=Expectation.SMALLER)


def test_bad_intents_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one constraint"):
        Intent(name="i", constraints=(), primary="auc")
    with pytest.raises(InvalidInput, match="two constraints on 'auc'"):
        Intent(name="i", constraints=(AUC, AUC), primary="auc")
    with pytest.raises(InvalidInput, match="Did you mean 'auc'"):
        Intent(name="i", constraints=(AUC,), primary="auk")


@pytest.mark.parametrize("intent", BUILT_IN_INTENTS, ids=lambda i: i.name)
@pytest.mark.parametrize(("metric", "better"), [("auc", Expectation.LARGER), ("log_loss", Expectation.SMALLER)])
def test_the_built_in_intents_resolve_for_any_primary_metric(intent: Intent, metric: str, better: Expectation) -> None:
    resolved = intent.resolve(metric, better)
    assert resolved.constraint(metric).expectation is better
    assert all(c.metric != PRIMARY for c in resolved.constraints)
    assert resolved.primary != PRIMARY
    assert len(resolved.constraints) == len(intent.constraints)
    assert resolved.resolve(metric, better) == resolved


@pytest.mark.parametrize("first", [True, False])
def test_what_is_said_of_a_metric_by_name_beats_what_is_said_of_the_primary(first: bool) -> None:
    general = Constraint(metric=PRIMARY, expectation=Expectation.LARGER, threshold=0.5)
    constraints = (general, AUC) if first else (AUC, general)
    resolved = Intent(name="i", constraints=constraints, primary=PRIMARY).resolve("auc", Expectation.LARGER)
    assert resolved.constraints == (AUC,)
    assert resolved.primary == "auc"


GOOD = {"auc": estimate(low=0.02, high=0.03), "model_bytes": estimate("model_bytes", low=-1, high=-1)}
BOTH = Intent(name="i", constraints=(AUC, SIZE), primary="auc")


def test_satisfied_only_if_every_constraint_holds() -> None:
    verdict = Verdict.of(BOTH, GOOD)
    assert verdict.status is VerdictStatus.SATISFIED
    assert len(verdict.findings) == 2
    assert "+0.02" in verdict.reason
    for metric, bad in (("auc", estimate(low=0, high=0.03)), ("model_bytes", estimate("model_bytes", low=1, high=1))):
        verdict = Verdict.of(BOTH, {**GOOD, metric: bad})
        assert verdict.status is VerdictStatus.UNSATISFIED
        assert metric in verdict.reason
        assert len(verdict.findings) == 2


def test_a_constraint_on_an_unknown_metric_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"constrains metric 'auc'.*Known: model_bytes"):
        Verdict.of(BOTH, {"model_bytes": GOOD["model_bytes"]})


@given(st.dictionaries(st.sampled_from(["auc", "model_bytes", "other"]), st.tuples(numbers, numbers), min_size=3))
def test_a_verdict_agrees_with_its_findings(bounds: dict[str, tuple[float, float]]) -> None:
    estimates = {m: estimate(m, low=min(b), high=max(b)) for m, b in bounds.items()}
    verdict = Verdict.of(BOTH, estimates)
    assert (verdict.status is VerdictStatus.SATISFIED) is all(f.outcome is Outcome.HOLDS for f in verdict.findings)


@pytest.mark.parametrize(
    ("baseline", "candidate", "relative"),
    [(2.0, 3.0, 0.5), (-2.0, -1.0, 0.5), (0.0, 0.0, 0.0), (0.0, 1.0, math.inf), (0.0, -1.0, -math.inf)],
)
def test_relative_differences(baseline: float, candidate: float, relative: float) -> None:
    e = Estimate(
        metric="m", baseline=baseline, candidate=candidate, low=0, high=0, relative_low=0, relative_high=0, confidence=0.95, method="given"
    )
    assert e.relative == relative
    assert e.delta == candidate - baseline
