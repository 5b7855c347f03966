"""Comparisons of experiments whose results are given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wichtel.domain import (
    Analysis,
    Comparison,
    Constraint,
    Estimate,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentStatus,
    Intent,
    InvalidInput,
    Job,
    Metadata,
    Model,
    ModelVersion,
    NotFound,
    Outcome,
    Registration,
    RunSpec,
    RunState,
    Verdict,
    Window,
)
from wichtel.experiments.comparison import Comparisons
from wichtel.store import Database, codec

DAY = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Job(
    dataset="d",
    label="y",
    train=Window(start=DAY, end=DAY + timedelta(days=1)),
    evaluation=Window(start=DAY + timedelta(days=1), end=DAY + timedelta(days=2)),
)
LARGER, SMALLER = Expectation.LARGER, Expectation.SMALLER
INTENT = Intent(
    name="both",
    primary="auc",
    constraints=(Constraint(metric="auc", expectation=LARGER), Constraint(metric="train_cpu_seconds", expectation=SMALLER)),
)


class World:
    """A store with results of experiments."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.comparisons = Comparisons(db)
        with db.transaction() as tx:
            tx.models.add(Model(name="m", owner="ana", team="ads", head="v-1", created=tx.now))
        self.version("v-1")

    def version(self, identity: str, job: Job = JOB, versions: dict[str, str] | None = None, model: str = "m") -> None:
        metadata = Metadata(primary_metric="auc", better=LARGER)
        analysis = Analysis(trainer="sklearn", features=(), tunables=(), metadata=metadata, job=job, versions=versions or {})
        with self.db.transaction() as tx:
            tx.versions.add(ModelVersion(id=identity, model=model, tree="t", analysis=analysis, created=tx.now))

    def add(
        self,
        name: str,
        auc: float | None,
        cpu: float = 10.0,
        *,
        baseline: float = 0.7,
        intent: Intent = INTENT,
        target: str = "v-1",
        protocol: str = "P",
        window: str = "evaluation",
        versions: dict[str, str] | None = None,
        width: float = 0.01,
        **config: Any,
    ) -> None:
        self.version(f"v-{name}", versions=versions)
        with self.db.transaction() as tx:
            tx.registrations.add(
                Registration(id=f"r-{name}", owner="ana", models=("m",), protocols=(protocol,), experiments=(name,), created=tx.now)
            )
            tx.experiments.add(
                Experiment(
                    id=name,
                    registration=f"r-{name}",
                    model="m",
                    target=target,
                    protocol=protocol,
                    config=ExperimentConfig(intent=intent, **config),
                    owner="ana",
                    quota_group="ads",
                    created=tx.now,
                )
            )
            if auc is not None:
                estimates = {
                    "auc": estimate("auc", baseline, auc, width, window),
                    "train_cpu_seconds": estimate("train_cpu_seconds", 12.0, cpu, 0.5, ""),
                }
                verdict = Verdict.of(intent, estimates)
                tx.experiments.start(name)
                tx.experiments.finish(
                    name,
                    ExperimentStatus(verdict.status),
                    verdict.reason,
                    ExperimentResult(
                        baseline=target,
                        candidate=f"v-{name}",
                        verdict=verdict,
                        baseline_metrics={"auc": baseline, "train_cpu_seconds": 12.0, "model_bytes": 100.0, "log_loss": 0.5},
                        candidate_metrics={"auc": auc, "train_cpu_seconds": cpu, "model_bytes": 100.0, "log_loss": 0.4},
                    ),
                )

    def compare(self, *names: str, **more: Any) -> Comparison:
        return self.comparisons.compare(names, **more)


def estimate(metric: str, baseline: float, candidate: float, width: float, window: str) -> Estimate:
    delta = candidate - baseline
    return Estimate(
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        low=delta - width,
        high=delta + width,
        relative_low=(delta - width) / baseline,
        relative_high=(delta + width) / baseline,
        confidence=0.95,
        method="by hand",
        window=window,
    )


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_settings_that_differ_stand_apart_from_those_that_all_have(world: World) -> None:
    world.add("e-1", 0.72, parameters={"values": {"width": 3}, "fast": True})
    world.add("e-2", 0.71, parameters={"values": {"width": 5}, "fast": True}, seed=7)
    found = world.compare("e-1", "e-2")
    assert [e.parameters for e in found.experiments] == [{"values.width": 3, "config.seed": 0}, {"values.width": 5, "config.seed": 7}]
    assert found.common["fast"] is True
    assert (found.common["model"], found.common["target"], found.common["protocol"], found.common["job.dataset"]) == ("m", "v-1", "P", "d")
    assert found.warnings == ()


def test_every_metric_has_its_numbers_and_what_became_of_its_constraint(world: World) -> None:
    world.add("e-1", 0.72)
    found = world.compare("e-1")
    assert [m.name for m in found.metrics][:2] == ["auc", "train_cpu_seconds"]
    assert found.objectives == ("auc", "train_cpu_seconds")
    assert (found.metrics[0].better, found.metrics[0].constraint) == (LARGER, "auc not smaller")
    auc = found.experiments[0].metrics["auc"]
    assert (auc.baseline, auc.candidate, auc.outcome) == (0.7, 0.72, Outcome.HOLDS)
    assert (auc.delta, auc.low, auc.high) == pytest.approx((0.02, 0.01, 0.03))
    plain = found.experiments[0].metrics["log_loss"]
    assert (plain.delta, plain.low, plain.outcome) == (pytest.approx(-0.1), None, None)
    [row] = found.rows()
    assert (row["auc"], row["auc.outcome"], row["status"]) == (0.72, "holds", "SATISFIED")


def test_intervals_of_metrics_without_a_constraint_come_from_the_run_that_compared(world: World) -> None:
    world.add("e-1", 0.72)
    assert world.compare("e-1").experiments[0].metrics["model_bytes"].low is None
    with world.db.transaction() as tx:
        tx.runs.add(RunSpec(id="e-1/compare", entry="e", payload={}, owner="o"))
        result = {"estimates": {"model_bytes": codec.to_plain(estimate("model_bytes", 100.0, 90.0, 1.0, ""))}}
        tx.runs.update_many([replace(tx.runs.get("e-1/compare"), state=RunState.SUCCEEDED, result=result)])
    found = world.compare("e-1").experiments[0].metrics
    assert (found["model_bytes"].low, found["model_bytes"].high) == (-11.0, -9.0)
    assert found["auc"].outcome is Outcome.HOLDS


def test_what_no_other_beats_in_everything_is_efficient(world: World) -> None:
    world.add("good", 0.75, 10.0)
    world.add("cheap", 0.71, 5.0)
    world.add("worse", 0.74, 11.0)
    world.add("same", 0.75, 10.0)
    world.add("failed", None)
    found = world.compare("good", "cheap", "worse", "same", "failed")
    assert [e.efficient for e in found.experiments] == [True, True, False, True, None]
    assert found.warnings[0] == "1 of 5 have no result: failed."
    assert [e.efficient for e in world.compare("good", "cheap", objectives=["train_cpu_seconds"]).experiments] == [False, True]
    with pytest.raises(InvalidInput, match="Did you mean 'auc'"):
        world.compare("good", objectives=["acu"])


def test_candidates_are_compared_with_that_of_a_reference(world: World) -> None:
    world.add("one", 0.72)
    world.add("two", 0.75)
    found = world.compare("two", reference="one")
    assert [e.id for e in found.experiments] == ["two", "one"]
    difference = found.experiments[0].metrics["auc"].to_reference
    assert difference is not None
    assert difference.delta == pytest.approx(0.03)
    # 0.05 ± 0.01 less 0.02 ± 0.01, of which both hold in nine cases of ten at least.
    assert (difference.low, difference.high, difference.confidence) == pytest.approx((0.01, 0.05, 0.9))
    own = found.experiments[1].metrics["auc"].to_reference
    assert own is not None
    assert (own.delta, own.low) == (0.0, None)


def test_against_another_baseline_there_is_a_difference_but_no_interval(world: World) -> None:
    world.add("one", 0.72)
    world.add("two", 0.75, baseline=0.71)
    found = world.compare("one", "two", reference="one")
    difference = found.experiments[1].metrics["auc"].to_reference
    assert difference is not None
    assert (difference.delta, difference.low) == (pytest.approx(0.03), None)
    assert "Their baselines are not the same trainings" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "v-2"}, "start from different versions (v-1; v-2)"),
        ({"protocol": "Q"}, "different protocols (P; Q)"),
        ({"intent": replace(INTENT, constraints=(replace(INTENT.constraints[0], threshold=0.1),))}, "different constraints"),
        ({"versions": {"keras": "3.2"}}, "different software (; keras 3.2)"),
    ],
)
def test_what_makes_a_comparison_doubtful_is_said(world: World, change: dict[str, Any], words: str) -> None:
    world.version("v-2")
    world.add("one", 0.72)
    world.add("two", 0.73, **change)
    found = world.compare("one", "two")
    assert any(words in warning for warning in found.warnings), found.warnings
    assert [e.efficient for e in found.experiments] != [None, None]


@pytest.mark.parametrize("how", ["dataset", "evaluation", "window"])
def test_what_cannot_be_compared_has_no_front(world: World, how: str) -> None:
    job = (
        replace(JOB, dataset="other") if how == "dataset" else replace(JOB, evaluation=replace(JOB.evaluation, end=DAY + timedelta(days=3)))
    )
    world.version("v-2", job)
    world.add("one", 0.72)
    world.add("two", 0.73, target="v-1" if how == "window" else "v-2", window="holdout" if how == "window" else "evaluation")
    found = world.compare("one", "two")
    assert [e.efficient for e in found.experiments] == [None, None]
    assert "cannot be compared" in found.warnings[0]
    assert ("different datasets (d; other)" if how == "dataset" else "different examples") in found.warnings[0]


def test_the_best_of_many_is_not_believed_also_when_the_others_are_not_shown(world: World) -> None:
    for i in range(6):
        world.add(f"e-{i}", 0.7 + i / 1000)
    found = world.compare("e-4", "e-5")
    assert found.judged == 6
    [warning] = found.warnings
    assert "2 are compared here, chosen from 6 that have a verdict" in warning
    assert "up to 14%" in warning
    assert found.rows()[0]["experiment"] == "e-4"


def test_a_query_says_which(world: World) -> None:
    for i in range(3):
        world.add(f"e-{i}", 0.7 + i / 1000, protocol="Q" if i == 1 else "P")
    assert {e.id for e in world.compare(query="protocol:P model:m").experiments} == {"e-0", "e-2"}
    for wrong in ({}, {"query": "model:m", "ids": ["e-1"]}, {"query": "model:none"}, {"ids": [f"e-{i}" for i in range(201)]}):
        with pytest.raises(InvalidInput):
            world.comparisons.compare(wrong.pop("ids", ()), **wrong)
    with pytest.raises(NotFound, match="e-9"):
        world.compare("e-9")
