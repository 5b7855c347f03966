"""Constraints and intents, and the verdict they give on a candidate.

A constraint holds only if its confidence interval says so: an improvement that could be chance is not one, and a loss that could exceed
the tolerance is not tolerated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from wichtel.domain.errors import InvalidInput, UserError, did_you_mean, one_of
from wichtel.domain.metric import Estimate, Expectation

#: In a constraint of an intent that serves many models, stands for the model's own primary metric.
PRIMARY = "$primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What a metric must do for a candidate to be launched.

    `threshold` is the least gain in the expected direction: in the metric's unit, or as a fraction of ``|baseline|`` if `relative`.
    A negative threshold tolerates a loss of that size ("neutral").

    Raises:
        InvalidInput: a threshold that is not finite, or a confidence outside (0.5, 1).
    """

    metric: str
    expectation: Expectation
    threshold: float = 0.0
    relative: bool = False
    confidence: float = 0.95

    def __post_init__(self) -> None:
        where = f"constraint on {self.metric!r}"
        object.__setattr__(self, "expectation", one_of(Expectation, self.expectation, where=where))
        if not self.metric:
            raise InvalidInput("a constraint needs a metric.")
        if not math.isfinite(self.threshold):
            raise InvalidInput(f"threshold {self.threshold} is not finite.", where=where)
        if not 0.5 < self.confidence < 1:
            raise InvalidInput(f"confidence {self.confidence} is not between 0.5 and 1.", where=where)

    @property
    def text(self) -> str:
        """The constraint in words.

        >>> Constraint(metric="auc", expectation="larger", threshold=0.01, relative=True).text
        'auc at least 1% larger'
        >>> Constraint(metric="step_seconds", expectation="smaller", threshold=-0.1, relative=True).text
        'step_seconds at most 10% larger'
        """
        size = f"{abs(self.threshold) * 100:.4g}%" if self.relative else f"{abs(self.threshold):.4g}"
        if self.threshold > 0:
            return f"{self.metric} at least {size} {self.expectation}"
        worse = Expectation.SMALLER if self.expectation is Expectation.LARGER else Expectation.LARGER
        return f"{self.metric} at most {size} {worse}" if self.threshold else f"{self.metric} not {worse}"


class Outcome(StrEnum):
    """What the data say about a constraint."""

    HOLDS = "holds"
    #: The interval contains the threshold: neither shown to hold nor shown to be broken.
    UNPROVEN = "unproven"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A constraint, the numbers, and what they say."""

    constraint: Constraint
    estimate: Estimate
    outcome: Outcome
    reason: str


def judge(constraint: Constraint, estimate: Estimate) -> Finding:
    """Decide whether `constraint` holds, by the end of the interval that is against it."""
    low, high = (estimate.relative_low, estimate.relative_high) if constraint.relative else (estimate.low, estimate.high)

    def size(change: float) -> str:
        change += 0.0  # no negative zero
        return f"{change * 100:+.3g}%" if constraint.relative else f"{change:+.4g}"

    change = size(low) if size(low) == size(high) else f"{size(low)} to {size(high)}"
    change = f"a change of {change} at {estimate.confidence * 100:.3g}% confidence"
    if constraint.expectation is Expectation.SMALLER:
        low, high = -high, -low
    if math.isnan(low) or math.isnan(high):
        outcome, reason = Outcome.UNPROVEN, "the metric is not a number"
    elif math.isinf(low) and math.isinf(high) and low < high:
        measured = size(estimate.relative if constraint.relative else estimate.delta)
        outcome, reason = Outcome.UNPROVEN, f"a change of {measured} was {estimate.method}"
    elif estimate.confidence < constraint.confidence:
        outcome, reason = Outcome.UNPROVEN, f"{change}, but {constraint.confidence * 100:.3g}% is asked for"
    elif low >= constraint.threshold:
        outcome, reason = Outcome.HOLDS, change
    elif high < constraint.threshold:
        outcome, reason = Outcome.BROKEN, f"{change} rules it out"
    else:
        outcome, reason = Outcome.UNPROVEN, f"{change} does not show it"
    return Finding(constraint=constraint, estimate=estimate, outcome=outcome, reason=f"{constraint.text}: {reason}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A named set of constraints with one primary, the metric that a search optimises.

    `models` says for which models: a pattern such as ``ads/*``; of several of one name `wichtel.domain.precedence` chooses.

    Raises:
        InvalidInput: no constraint, two on one metric, or a primary that is not among them.
    """

    name: str
    constraints: tuple[Constraint, ...]
    primary: str
    models: str = "*"
    help: str = ""

    def __post_init__(self) -> None:
        where = f"intent {self.name!r}"
        names = [c.metric for c in self.constraints]
        if not names:
            raise InvalidInput("an intent needs at least one constraint.", where=where)
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput(f"two constraints on {name!r}.", where=where)
        if self.primary not in names:
            raise InvalidInput(
                f"no constraint on the primary metric {self.primary!r}.", where=where, hint=did_you_mean(self.primary, names)
            )

    def applies_to(self, model: str) -> bool:
        """Whether `model` matches the pattern."""
        return fnmatchcase(model, self.models)

    def constraint(self, metric: str) -> Constraint:
        """The constraint on `metric`."""
        return next(c for c in self.constraints if c.metric == metric)

    def resolve(self, primary_metric: str, better: Expectation) -> Intent:
        """Put the model's primary metric, and which way it is better, in the place of `PRIMARY`."""
        # A metric that stands there by name and as the primary keeps what was said by name.
        named = {c.metric for c in self.constraints}
        return replace(
            self,
            constraints=tuple(
                replace(c, metric=primary_metric, expectation=better) if c.metric == PRIMARY else c
                for c in self.constraints
                if not (c.metric == PRIMARY and primary_metric in named)
            ),
            primary=primary_metric if self.primary == PRIMARY else self.primary,
        )


IMPROVE_QUALITY = Intent(
    name="improve_quality",
    help="The primary quality metric gets better by half a percent; the model at most doubles in bytes and triples in inference time.",
    primary=PRIMARY,
    constraints=(
        Constraint(metric=PRIMARY, expectation=Expectation.LARGER, threshold=0.005, relative=True),
        Constraint(metric="model_bytes", expectation=Expectation.SMALLER, threshold=-1.0, relative=True),
        Constraint(metric="inference_seconds", expectation=Expectation.SMALLER, threshold=-2.0, relative=True),
    ),
)

OPTIMIZE_RESOURCES = Intent(
    name="optimize_resources",
    help="Training takes a tenth less processor time; the primary quality metric loses at most half a percent.",
    primary="train_cpu_seconds",
    constraints=(
        Constraint(metric="train_cpu_seconds", expectation=Expectation.SMALLER, threshold=0.1, relative=True),
        Constraint(metric=PRIMARY, expectation=Expectation.LARGER, threshold=-0.005, relative=True),
    ),
)

BUILT_IN_INTENTS = (IMPROVE_QUALITY, OPTIMIZE_RESOURCES)


class VerdictStatus(StrEnum):
    """The two verdicts."""

    SATISFIED = "SATISFIED"
    UNSATISFIED = "UNSATISFIED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about a candidate, with its numbers and its reason."""

    status: VerdictStatus
    intent: str
    findings: tuple[Finding, ...]
    reason: str

    @classmethod
    def of(cls, intent: Intent, estimates: Mapping[str, Estimate]) -> Verdict:
        """Judge every constraint of a resolved `intent`; SATISFIED only if all hold.

        Raises:
            UserError: a constraint is on a metric that the models did not report.
        """
        for c in intent.constraints:
            if c.metric not in estimates:
                raise UserError(
                    f"intent {intent.name!r} constrains metric {c.metric!r}, which the models do not report.",
                    hint=did_you_mean(c.metric, estimates),
                )
        findings = tuple(judge(c, estimates[c.metric]) for c in intent.constraints)
        failed = [f for f in findings if f.outcome is not Outcome.HOLDS]
        if failed:
            return cls(
                status=VerdictStatus.UNSATISFIED,
                intent=intent.name,
                findings=findings,
                reason=" ".join(f.reason for f in failed),
            )
        primary = next(f for f in findings if f.constraint.metric == intent.primary)
        all_hold = "Its constraint holds." if len(findings) == 1 else f"All {len(findings)} constraints hold."
        return cls(
            status=VerdictStatus.SATISFIED,
            intent=intent.name,
            findings=findings,
            reason=f"{all_hold} {primary.reason}",
        )
