"""Real failures, each made to happen, and what is said of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import (
    Constraint,
    Estimate,
    Expectation,
    ExperimentStatus,
    Intent,
    InvalidInput,
    Resources,
    Rule,
    Run,
    RunSpec,
    RunState,
    SystemFault,
    UserError,
    Verdict,
    WichtelError,
)
from wichtel.domain.failure import mask
from wichtel.experiments import failures
from wichtel.experiments.failure_rules import BUILT_IN
from wichtel.experiments.failures import cause_of, classify
from wichtel.fleet.carry import _failure
from wichtel.plans import SourceTree
from wichtel.plans.entries import analyse_tree
from wichtel.protocols.submission import failure_of
from wichtel.recipes import Edit
from wichtel.store import Artifacts, Database, codec
from wichtel.testing.failure_rules import check_failure, check_rule, check_rules
from wichtel.training import ingest
from wichtel.training.entries import train

USER, SYSTEM = ExperimentStatus.USER_ERROR, ExperimentStatus.SYSTEM_ERROR

#: Seven lines: what a test adds begins at line 8.
PLAN = """import numpy
from wichtel import plan, tunable
class Model:
    def fit(self, x, y): pass
    def predict(self, x): return numpy.full(len(x), 0.5)
plan.metadata(primary_metric="rmse", better="smaller")
plan.features([plan.Numeric("size")])
"""
JOB = """
[dataset]
name = "d"
label = "late"
[windows]
train = [2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z]
evaluation = [2020-01-02T00:00:00Z, 2020-01-03T00:00:00Z]
"""


@dataclass
class Context:
    """A run's context without a fleet."""

    root: Path
    artifacts: Artifacts
    seed: int = 5
    run_id: str = "e-1/train"
    attempt: int = 1
    resume: bool = False
    resources: Resources = field(default_factory=Resources)

    @property
    def scratch(self) -> Path:
        (self.root / "scratch").mkdir(parents=True, exist_ok=True)
        return self.root / "scratch"

    @property
    def checkpoint_path(self) -> Path:
        (self.root / "checkpoint").mkdir(parents=True, exist_ok=True)
        return self.root / "checkpoint"

    def report(self, step: int, **metrics: float) -> None: ...
    def check(self) -> None: ...


def error_of(call: Any, *args: Any, **options: Any) -> dict[str, Any]:
    """What a workflow keeps of the error that `call` raises in a run."""
    with pytest.raises(WichtelError) as raised:
        call(*args, **options)
    told = raised.value.to_json() if isinstance(raised.value, SystemFault) else _failure(raised.value)
    run = Run(spec=RunSpec(id="e-1/train", entry="x:y"), state=RunState.FAILED, error=told, created=datetime(2026, 1, 1, tzinfo=UTC))
    return {**failure_of(run).to_json(), "step": "train"}


@pytest.fixture
def fail(inputs: Path, tmp_path: Path) -> Any:
    """Train a plan that cannot be trained."""
    artifacts = Artifacts(tmp_path / "artifacts")
    dataset = ingest([inputs / "d.csv"], name="d", time_column="t", artifacts=artifacts, owner="ana", now=datetime(2026, 1, 1, tzinfo=UTC))

    def carry_out(added: str, *, plan: str = PLAN, job: str = JOB) -> dict[str, Any]:
        tree = SourceTree({"plan.py": (plan + added).encode(), "job.toml": job.encode()})
        payload = {"tree": tree.save(artifacts), "dataset": codec.to_plain(dataset)}
        return error_of(train, payload, Context(tmp_path / "run", artifacts))

    return carry_out


LIMITS = "[limits]\nload_seconds = 20\ntrain_seconds = 1\n"
MEMORY = '[resources]\nmemory = "300MiB"\n'
NAN = "Model.predict = lambda self, x: numpy.full(len(x), numpy.nan)\n"
HANG = "def fit(self, x, y):\n    import time\n    print('counting sheep', flush=True)\n    time.sleep(60)\nModel.fit = fit\n"
HOG = "def fit(self, x, y):\n    import time\n    self.hog = numpy.ones(200_000_000)\n    time.sleep(60)\nModel.fit = fit\n"


@pytest.mark.parametrize(
    ("category", "added", "options"),
    [
        ("plan.import_error", "import no_such_package\nmodel = Model()", {}),
        ("plan.syntax_error", "model = = 3", {}),
        ("plan.no_model", "", {}),
        ("plan.incomplete", "model = Model()", {"plan": PLAN.replace('plan.features([plan.Numeric("size")])', "")}),
        ("plan.raised", "print('token: geheim', flush=True)\nmodel = Model()\n1 / 0", {}),
        ("plan.crashed", "import os\nos._exit(3)", {}),
        ("plan.job_invalid", "model = Model()", {"job": JOB + "[windoes]\n"}),
        ("plan.timeout", HANG + "model = Model()", {"job": JOB + LIMITS}),
        ("plan.out_of_memory", HOG + "model = Model()", {"job": JOB + MEMORY}),
        ("metric.unknown", "model = Model()", {"plan": PLAN.replace('"rmse"', '"mrr"')}),
        ("metric.not_finite", NAN + "model = Model()", {}),
        ("metric.raised", "plan.metric('mine', lambda labels, scores: 1 / 0, better='larger')\nmodel = Model()", {}),
        ("data.missing_column", "model = Model()", {"plan": PLAN.replace('"size"', '"sighs"')}),
        ("data.wrong_type", "model = Model()", {"plan": PLAN.replace('"size"', '"city"')}),
        ("data.no_examples", "model = Model()", {"job": JOB.replace("2020-01-0", "2021-01-0")}),
    ],
)
def test_what_a_plan_does_wrong_is_its_owners_to_put_right(fail: Any, category: str, added: str, options: dict[str, Any]) -> None:
    error = fail(added, **options)
    found = classify(error)
    assert (found.category, found.status) == (category, USER), error
    assert (found.step, found.run) == ("train", "e-1/train")
    check_failure(found)
    [rule] = [r for r in BUILT_IN if r.name == found.rule]
    check_rule(rule, [error])


def test_the_logs_end_shows_what_the_plan_printed_and_its_traceback_without_secrets(fail: Any) -> None:
    found = classify(fail("print('token: geheim', flush=True)\ndef broken():\n    return 1 / 0\nbroken()\nmodel = Model()"))
    assert found.log_tail.splitlines()[0] == "token: ***"
    assert 'File "plan.py", line 10, in broken' in found.log_tail
    assert found.log_tail.endswith("ZeroDivisionError: division by zero")
    assert found.message.startswith("plan.py:10: ")
    assert "sheep" not in found.log_tail


def test_a_plan_that_hangs_shows_the_line_and_what_it_printed(fail: Any) -> None:
    found = classify(fail(HANG + "model = Model()", job=JOB + LIMITS.replace("train_seconds = 1", "train_seconds = 6")))
    assert "counting sheep" in found.log_tail
    assert "limits.train_seconds" in found.hint


def test_a_plan_that_the_kernel_kills_used_too_much_memory(inputs: Path) -> None:
    """The kernel ends processes with this signal; the plan does so itself here."""
    tree = SourceTree({"plan.py": b"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "job.toml": JOB.encode()})
    found = classify(error_of(analyse_tree, tree))
    assert (found.category, found.status) == ("plan.out_of_memory", USER)


def test_a_metric_that_an_intent_constrains_and_no_model_reports() -> None:
    constraint = Constraint(metric="mrr", expectation=Expectation.LARGER, threshold=0.0)
    intent = Intent(name="neutral", constraints=(constraint,), primary="mrr")
    found = classify(error_of(Verdict.of, intent, dict[str, Estimate]()))
    assert (found.category, found.status) == ("metric.unknown", USER)


def test_a_recipe_that_changes_nothing() -> None:
    tree = SourceTree({"plan.py": b"", "job.toml": b""})
    found = classify(error_of(Edit, before=tree, tree=tree, summary="set width to 3"))
    assert (found.category, found.status) == ("recipe.changed_nothing", USER)
    assert found.hint == "Is it meant for another model?"


def test_a_fault_of_ours_in_a_run_is_not_taken_for_the_users(tmp_path: Path) -> None:
    """The run's own code raises a KeyError: no code of a plan has a part in it."""
    with pytest.raises(KeyError) as raised:
        train({}, Context(tmp_path, Artifacts(tmp_path)))
    error = _failure(raised.value)
    assert error["code"] == "user_error"
    run = Run(spec=RunSpec(id="r", entry="x:y"), state=RunState.FAILED, error=error, created=datetime(2026, 1, 1, tzinfo=UTC))
    found = classify(failure_of(run).to_json())
    assert (found.category, found.status) == ("system.fault", SYSTEM)
    assert "KeyError" in found.log_tail


def test_a_dead_database_and_a_full_disk_are_the_systems(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/empty.db")

    def read() -> None:
        with database.read() as tx:
            tx.models.list()

    found = classify(error_of(read))
    database.close()
    assert (found.category, found.status) == ("database.gone", SYSTEM)
    if os.path.exists("/dev/full"):  # noqa: PTH110

        def write() -> None:
            from wichtel.domain import StorageFailed

            try:
                with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123
                    file.write(b"x")
            except OSError as error:
                raise StorageFailed(f"the artifact could not be written: {error.strerror}.") from error

        found = classify(error_of(write))
        assert (found.category, found.status) == ("storage.full", SYSTEM)


@pytest.mark.parametrize(
    ("category", "status", "error"),
    [
        ("worker.lost", SYSTEM, {"code": "worker_lost", "message": "its worker was lost in 4 attempts; the last time: it was silent."}),
        ("resources.too_large", USER, {"code": "user_error", "message": "it needs 8 GPUs, but all workers together have 2 cpus."}),
        ("run.canceled", USER, {"code": "user_error", "message": "run e-1/train was canceled."}),
        ("workflow.canceled", SYSTEM, {"message": "its workflow was canceled"}),
        ("unknown", SYSTEM, {"code": "system_fault", "message": "RuntimeError: never seen"}),
        ("unknown", USER, {"code": "user_error", "message": "never seen"}),
        ("input.invalid", USER, InvalidInput("7 is not 8.").to_json()),
    ],
)
def test_what_errors_say_of_themselves_counts(category: str, status: ExperimentStatus, error: dict[str, Any]) -> None:
    found = classify(error)
    assert (found.category, found.status) == (category, status)
    check_failure(found)


def test_the_rules_of_wichtel_have_names_of_their_own() -> None:
    check_rules(BUILT_IN)


@pytest.mark.parametrize(
    "options", [{"message": "("}, {}, {"message": "x", "category": "Bad"}, {"message": "x", "status": ExperimentStatus.CANCELED}]
)
def test_a_rule_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Rule(**{"name": "mine", "category": "a.b", "status": USER, "hint": "Do.", **options})


def test_a_protocols_own_rules_come_first_and_plug_ins_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Rule(name="mine", category="embedding.too_small", status=USER, hint="Make it larger.", message="embedding")
    theirs = replace(mine, name="theirs", category="embedding.plugged")

    class Own:
        failure_rules = (mine,)

    monkeypatch.setattr(failures, "protocols", lambda: {"Own": Own()})
    monkeypatch.setattr(failures, "plugged_in", lambda: (theirs,))
    error = InvalidInput("the embedding has 0 rows.").to_json()
    check_rule(mine, [error])
    assert classify(error, protocol="Own").category == "embedding.too_small"
    assert classify(error, protocol="Other").category == "embedding.plugged"


def test_secrets_do_not_get_into_a_failure() -> None:
    text = "postgresql://me:geheim@db/x wt_abcdefghijklmnop Bearer abcdefghijkl PASSWORD=geheim 'api_key': \"geheim\" AKIAABCDEFGHIJKLMNOP"
    assert "geheim" not in mask(text)
    assert "abcdefghijkl" not in mask(text)
    assert "ABCDEFGHIJKLMNOP" not in mask(text)
    found = classify(UserError(text).to_json() | {"evidence": {"log": text}})
    assert "geheim" not in found.message + found.log_tail


# What experiments keep of it


def test_an_experiment_keeps_its_failure_and_unknown_ones_are_collected(world: Any) -> None:
    world.broken |= {"e1": InvalidInput("the plan defines no model.", where="plan.py"), "e2": RuntimeError("fire in room 12")}
    world.broken |= {"e3": RuntimeError("fire in room 7")}
    world.add("e1", "e2", "e3")
    world.run()
    user, system = world.get("e1"), world.get("e2")
    assert (user.failure.category, user.failure.step) == ("input.invalid", "work")
    assert user.cause == cause_of(user.failure)
    assert "fire in room 12" in system.failure.log_tail
    assert world.get("e3").failure.category == "unknown"
    with world.db.read() as tx:
        [case] = tx.triage.list().items
    assert (case.count, case.category, case.step, case.protocol, case.example) == (2, "unknown", "work", "P", "e3")
    assert case.message == "step '…': RuntimeError: fire in room #"


def test_why_an_experiment_was_not_done_in_time(world: Any) -> None:
    with world.db.transaction() as tx:
        from wichtel.domain import QuotaGroup

        tx.quota_groups.put(QuotaGroup(name="full", max_in_progress=0))
    world.add("e1", group="full")
    world.add("e2")
    world.run()
    with world.db.transaction() as tx:
        tx.runs.add(RunSpec(id="e2/train", entry="x:y"))
    world.add("e3")
    world.run()
    world.run(31 * 86_400)
    found = [world.get(e) for e in ("e1", "e2", "e3")]
    assert {e.status for e in found} == {ExperimentStatus.DEADLINE_EXCEEDED}
    assert [e.failure.category for e in found] == ["experiment.never_started", "resources.never_allocated", "experiment.too_slow"]
