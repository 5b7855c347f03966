"""The study loop alone, beside a fleet in memory that can be killed at any moment."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import (
    Algorithm,
    Choice,
    Expectation,
    Float,
    Int,
    Measurement,
    MetricBound,
    Objective,
    Run,
    RunState,
    Space,
    StorageFailed,
    StudySpec,
    StudyState,
)
from wichtel.fleet import Stop
from wichtel.tuning import Problem, StudyLoop, make_pruner, make_searcher
from wichtel.tuning.ports import Decision, Suggestion

SPACE = Space({"x": Float(0.0, 1.0), "n": Int(1, 40), "kind": Choice(["a", "b"]), "extra": Float(0.1, 9.0, log=True, when={"kind": ["b"]})})


def spec(**changes):
    base = StudySpec(
        id="s-1",
        name="study",
        space=SPACE,
        objectives=(Objective(metric="loss", better=Expectation.SMALLER),),
        entry="m:f",
        searcher=Algorithm(name="random"),
        trials=30,
    )
    return replace(base, **changes)


def loss_of(config):
    return abs(float(config.get("x", 0.3)) - 0.3) + 0.01 * float(config.get("n", 1))


def durable():
    done: Future[None] = Future()
    done.set_result(None)
    return done


class World:
    """Runs and trials as the store would have them, and workers that take what is there."""

    def __init__(self, spec, outcome=loss_of, seed=0, whole=None, terminators=()):
        self.spec = spec
        self.whole = whole
        self.terminators = terminators
        self.outcome = outcome
        self.random = Random(seed)
        self.runs: dict[str, Run] = {}
        self.trials = {}
        self.measurements: list[Measurement] = []
        self.started = datetime.now(UTC)
        self.executed: list[Any] = []
        self.forgotten: list[str] = []
        self.ended = None
        self.loop: StudyLoop

    def submit(self, specs):
        for s in specs:
            self.runs.setdefault(s.id, Run(spec=s, created=datetime.now(UTC)))
        return durable()

    def forget(self, runs):
        self.forgotten += runs

    def cancel(self, run_id, reason):
        run = self.runs[run_id]
        if not run.state.ended:
            self.runs[run_id] = replace(run, state=RunState.CANCELED, error={"message": reason}, ended=datetime.now(UTC))
            self.loop.on_end(self.runs[run_id])

    def write(self, trial, at_once):
        self.trials[trial.number] = trial
        return durable()

    def begin(self, searcher=None, lose=0):
        """Start a process; `lose` of the trials that were written last did not become durable."""
        for number in sorted(self.trials, key=lambda n: self.trials[n].searcher_state["order"])[len(self.trials) - lose :]:
            if self.trials[number].copied_from is None:
                del self.trials[number]
        searcher = searcher or make_searcher(self.spec.searcher, Problem.of(self.spec))
        pruner = make_pruner(self.spec.pruner) if self.spec.pruner else None
        self.loop = StudyLoop(
            self.spec,
            searcher,
            pruner,
            self,
            self.write,
            terminators=self.terminators,
            started=self.started,
            on_done=lambda *ended: setattr(self, "ended", ended),
        )
        self.loop.restore(list(self.trials.values()), list(self.runs.values()), self.measurements)
        self.loop.start()

    def kill(self):
        """End the process: what it would still say or write comes to nothing."""
        self.loop.close()

    def work(self, until=10**9):
        """Carry out runs until there is nothing to do, or `until` runs have ended."""
        deadline = time.monotonic() + 60
        while not self.loop.done.is_set() and until and time.monotonic() < deadline:
            ready = sorted((r for r in self.runs.values() if not r.state.ended), key=lambda r: [int(n) for n in r.spec.id.split("/")[1:]])
            if not ready:
                time.sleep(0.0005)
                continue
            self.carry_out(self.random.choice(ready[: self.spec.workers]))
            until -= 1

    def carry_out(self, run):
        number = run.spec.payload["trial"]
        self.executed.append((number, run.spec.payload["fold"]) if "fold" in run.spec.payload else number)
        result = self.outcome(run.spec.payload["config"]) if self.whole is None else self.whole(run.spec)
        state, error = RunState.SUCCEEDED, None
        if isinstance(result, list):
            for step, value in enumerate(result):
                m = Measurement(run=run.spec.id, attempt=1, step=step, metrics=value if isinstance(value, dict) else {"loss": value})
                self.measurements.append(m)
                answer = self.loop.on_measurement(m)
                if isinstance(answer, Stop):
                    state, error = RunState.STOPPED, {"message": answer.reason}
                    break
            result = None
        elif isinstance(result, Exception):
            state, error, result = RunState.FAILED, {"message": f"ValueError: {result}", "traceback": "Traceback: here"}, None
        ended = replace(run, state=state, result=result, error=error, started=run.created, ended=datetime.now(UTC))
        self.runs[run.spec.id] = ended
        self.loop.on_end(ended)

    def configs(self):
        return [self.trials[n].config for n in sorted(self.trials)]


def finished(spec, **options):
    world = World(spec, **options)
    world.begin()
    world.work()
    assert world.loop.done.is_set()
    return world


@pytest.mark.parametrize(("searcher", "workers"), [("random", 1), ("random", 3), ("tpe", 1), ("cmaes", 1), ("grid", 2)])
@given(cuts=st.lists(st.integers(0, 12), max_size=3), lose=st.integers(0, 4), seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_a_study_killed_anywhere_ends_as_an_undisturbed_one(searcher, workers, cuts, lose, seed):
    study = spec(searcher=Algorithm(name=searcher), workers=workers, seed=seed)
    undisturbed = finished(study)
    world = World(study, seed=seed)
    for cut in cuts:
        world.begin(lose=min(lose, len(world.trials)))
        world.work(cut)
        world.kill()
    world.begin(lose=min(lose, len(world.trials)))
    world.work()
    assert world.ended == undisturbed.ended
    assert world.configs() == undisturbed.configs()
    assert sorted(world.executed) == list(range(30)), "a finished trial was run again, or one was lost"
    if workers == 1:
        assert {n: t.metrics for n, t in world.trials.items()} == {n: t.metrics for n, t in undisturbed.trials.items()}


def test_never_more_at_once_than_workers():
    world = World(spec(workers=3))
    world.begin()
    most = 0
    while not world.loop.done.is_set():
        world.work(1)
        most = max(most, sum(not r.state.ended for r in world.runs.values()))
    assert most <= 3
    assert world.ended == (StudyState.FINISHED, "all 30 trials are done")


def test_the_same_configuration_is_answered_from_the_earlier_trial():
    config = {"x": 0.5, "n": 3, "kind": "a"}
    world = finished(spec(enqueued=(config, config, config), trials=5))
    assert world.executed == [0, 3, 4]
    assert [world.trials[n].copied_from for n in range(5)] == [None, 0, 0, None, None]
    assert world.trials[2].metrics == world.trials[0].metrics
    assert world.trials[1].reason == "the same configuration as trial 0"


def test_a_study_ends_when_the_searcher_has_no_more():
    small = Space({"n": Int(1, 3), "kind": Choice(["a", "b"])})
    for searcher in ("grid", "random", "tpe"):
        world = finished(spec(space=small, searcher=Algorithm(name=searcher), workers=2))
        assert world.ended == (StudyState.FINISHED, "the searcher has no more configurations after 6 trials")
        assert len({tuple(c.items()) for c in world.configs()}) == 6


def test_a_trial_whose_loss_is_no_number_has_failed_but_does_not_fail_the_study():
    world = finished(spec(), outcome=lambda c: float("nan") if c["x"] < 0.7 else c["x"])
    failed = [t for t in world.trials.values() if t.state is RunState.FAILED]
    assert len(failed) > 15
    assert failed[0].reason == "its loss is nan"
    assert world.ended[0] is StudyState.FINISHED
    assert finished(spec(), outcome=lambda _: float("inf")).ended == (
        StudyState.FAILED,
        "none of 30 trials has a result; the last: its loss is inf",
    )


def test_a_metric_that_is_not_there_is_named():
    world = finished(spec(trials=3), outcome=lambda _: {"lss": 1.0, "auc": 0.5})
    assert world.trials[0].reason == "it neither returned nor reported the metric 'loss': it gave only auc, lss"


def test_some_failures_are_borne_and_most_are_not():
    some = finished(spec(), outcome=lambda c: ValueError("bad") if c["x"] < 0.2 else c["x"])
    assert some.ended[0] is StudyState.FINISHED
    failed = next(t for t in some.trials.values() if t.state is RunState.FAILED)
    assert failed.reason == "ValueError: bad\nTraceback: here"
    most = finished(spec(workers=2), outcome=lambda c: ValueError("bad") if c["x"] < 0.95 else c["x"])
    assert most.ended[0] is StudyState.FAILED
    assert most.ended[1].endswith("trials failed; the last: ValueError: bad")
    assert len(most.executed) <= 8


def test_pruned_trials_keep_their_last_measurement_and_the_reason():
    world = World(spec(pruner=Algorithm(name="median"), trials=40), outcome=lambda c: [loss_of(c) + 1 / (s + 1) for s in range(10)])
    world.begin()
    world.work(15)
    world.kill()
    world.begin()
    world.work()
    stopped = [t for t in world.trials.values() if t.state is RunState.STOPPED]
    assert 5 <= len(stopped) <= 35
    for trial in stopped:
        curve = [m for m in world.measurements if m.run == trial.run()]
        assert trial.metrics == curve[-1].metrics
        assert len(curve) < 10 or trial.searcher_state["step"] == 9
        assert "median" in trial.reason
    best = min(world.trials.values(), key=lambda t: t.metrics["loss"])
    assert best.state is RunState.SUCCEEDED


def test_a_canceled_study_cancels_its_runs():
    world = World(spec(workers=4))
    world.begin()
    world.work(6)
    world.loop.end(StudyState.CANCELED, "enough")
    assert world.loop.done.is_set()
    assert world.ended == (StudyState.CANCELED, "enough")
    assert not [r for r in world.runs.values() if not r.state.ended]


def test_a_broken_searcher_fails_the_study_with_the_cause():
    class Broken:
        def sample(self, n):
            raise KeyError("oops")

        def update(self, results):
            pass

    class Illegal(Broken):
        def sample(self, n):
            return [Suggestion(config={"x": 7.0, "n": 1, "kind": "a"})]

    for searcher, words in ((Broken(), "the searcher failed: KeyError: 'oops'"), (Illegal(), "outside")):
        world = World(spec())
        world.begin(searcher)
        assert world.loop.done.wait(10)
        assert world.ended[0] is StudyState.FAILED
        assert words in world.ended[1]


def test_a_broken_pruner_fails_the_study_with_the_cause():
    class Broken:
        def decide(self, curves, trial):
            raise ZeroDivisionError("oops")

    world = World(spec(), outcome=lambda c: [1.0, 0.5])
    study = spec()
    world.loop = StudyLoop(
        study,
        make_searcher(study.searcher, Problem.of(study)),
        Broken(),
        world,
        world.write,
        on_done=lambda *ended: setattr(world, "ended", ended),
    )
    world.loop.restore([], [], [])
    world.loop.start()
    world.work()
    assert world.ended == (StudyState.FAILED, "the pruner failed: ZeroDivisionError: oops")


def test_runs_of_a_study_below_are_not_mixed_up():
    world = World(spec(workers=2))
    world.begin()
    while len(world.runs) < 2:
        time.sleep(0.001)
    run = world.runs["s-1/0"]
    foreign = replace(run, spec=replace(run.spec, id="s-1/study/0", owner="study/s-1/study"), state=RunState.SUCCEEDED, result=1.0)
    assert world.loop.on_end(foreign) == []
    assert world.loop.on_measurement(Measurement(run="s-1/study/0", attempt=1, step=0, metrics={"loss": 0.0})) is None
    assert not world.trials
    world.kill()


def test_what_is_heard_before_the_start_is_not_lost():
    world = World(spec(trials=2))
    world.begin()
    while not world.runs:
        time.sleep(0.001)
    world.kill()
    before = list(world.runs.values())
    loop = StudyLoop(world.spec, make_searcher(world.spec.searcher, Problem.of(world.spec)), None, world, world.write)
    world.loop = loop
    loop.on_measurement(Measurement(run="s-1/0", attempt=1, step=0, metrics={"loss": 5.0}))
    world.carry_out(before[0])
    loop.restore([], before, [])
    loop.start()
    world.work()
    assert world.executed == [0, 1]
    assert len(world.trials) == 2


# Several objectives, constraints


class Heard:
    """A searcher of random configurations that writes down what it is told."""

    promotes = False

    def __init__(self, problem, suggest=lambda number, config: Suggestion(config=config)):
        self.inner = make_searcher(Algorithm(name="random"), problem)
        self.suggest = suggest
        self.results = {}

    def sample(self, n):
        first = self.inner._ledger.next
        return [self.suggest(first + i, s.config) for i, s in enumerate(self.inner.sample(n))]

    def update(self, results):
        self.inner.update(results)
        self.results |= {r.number: r for r in results}


def test_losses_and_violations_are_told_in_the_order_of_objectives_and_constraints():
    objectives = (Objective(metric="acc", better="larger"), Objective(metric="size", better="smaller"))
    bounds = (MetricBound.parse("latency <= 0.5"), MetricBound.parse("acc >= 0.1"))
    study = spec(objectives=objectives, constraints=bounds, trials=20)
    world = World(study, outcome=lambda c: {"acc": c["x"], "size": c["n"]} | ({"latency": c["x"]} if c["n"] > 10 else {}))
    searcher = Heard(Problem.of(study))
    world.begin(searcher)
    world.work()
    assert world.ended[0] is StudyState.FINISHED
    for number, result in searcher.results.items():
        if result.state is RunState.RUNNING:
            continue
        config = world.trials[number].config
        assert result.state is RunState.SUCCEEDED, "a trial without the metric of a constraint is infeasible and has not failed"
        assert result.losses == (-config["x"], config["n"])
        slow = max(0.0, config["x"] - 0.5) if config["n"] > 10 else float("inf")
        assert result.violations == (slow, max(0.0, 0.1 - config["x"]))


def test_trials_of_several_objectives_are_pruned_when_they_report_all_of_them():
    objectives = (Objective(metric="a", better="smaller"), Objective(metric="b", better="smaller"))
    study = spec(objectives=objectives, pruner=Algorithm(name="median"), trials=30)
    both = finished(study, outcome=lambda c: [{"a": c["x"], "b": c["n"]}] * 8)
    assert 3 <= sum(t.state is RunState.STOPPED for t in both.trials.values()) <= 27
    one = finished(study, whole=lambda run: [{"a": run.payload["config"]["x"]}] * 7 + [{"b": 1.0}])
    assert all(t.state is RunState.SUCCEEDED for t in one.trials.values())


# What ends a study before its trials do


class After:
    """Ends a study after so many trials."""

    def __init__(self, trials):
        self.trials = trials
        self.heard = []

    def decide(self, results):
        self.heard.append(len(results))
        return Decision(len(results) >= self.trials, f"{self.trials} are enough")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_a_terminator_ends_the_study_with_its_reason(workers, searcher):
    terminator = After(7)
    world = finished(spec(workers=workers, searcher=Algorithm(name=searcher)), terminators=[After(1000), terminator])
    assert world.ended == (StudyState.FINISHED, "7 are enough")
    assert 7 <= len(world.trials) <= 7 + 2 * workers
    assert sum(t.state is RunState.SUCCEEDED for t in world.trials.values()) <= 6 + 2 * workers
    assert terminator.heard == sorted(terminator.heard)
    assert all(r.state.ended for r in world.runs.values())


def test_a_killed_study_is_judged_by_all_that_has_ended():
    world = World(spec())
    world.begin()
    world.work(9)
    world.kill()
    world.terminators = [After(9)]
    world.begin()
    assert world.loop.done.wait(10)
    assert world.ended == (StudyState.FINISHED, "9 are enough")


def test_a_broken_terminator_fails_the_study_with_the_cause():
    class Broken:
        def decide(self, results):
            raise KeyError("oops")

    world = finished(spec(), terminators=[Broken()])
    assert world.ended == (StudyState.FAILED, "the terminator failed: KeyError: 'oops'")


def test_no_trial_is_begun_when_the_cost_is_spent():
    world = finished(spec(max_cost=10.0, cost_metric="dollars"), outcome=lambda c: {"loss": c["x"], "dollars": 1.5})
    assert world.ended == (StudyState.FINISHED, "its trials have cost 10.5 of 10")
    assert len(world.trials) == len(world.executed) == 7
    again = World(world.spec)
    again.runs, again.trials = world.runs, world.trials
    again.begin()
    assert again.loop.done.wait(10)
    assert (again.ended, again.executed) == (world.ended, [])


def test_a_trial_that_does_not_say_what_it_cost_has_failed():
    world = finished(
        spec(max_cost=10.0, max_failed_share=1.0), outcome=lambda c: {"loss": c["x"]} | ({"cost": 1.0} if c["x"] < 0.9 else {})
    )
    failed = [t for t in world.trials.values() if t.state is RunState.FAILED]
    assert {t.reason for t in failed} == {"it neither returned nor reported the metric 'cost': it gave only loss"}
    assert sum(t.state is RunState.SUCCEEDED for t in world.trials.values()) == 10


def test_when_the_time_is_up_the_study_ends_and_its_runs_are_canceled():
    world = World(spec(workers=3, max_seconds=0.3))
    world.begin()
    world.work(4)
    assert world.loop.done.wait(10)
    assert world.ended == (StudyState.FINISHED, "its 0.3 s are up")
    assert all(r.state.ended for r in world.runs.values())
    assert sum(t.state is RunState.CANCELED for t in world.trials.values()) == 3


def test_the_time_goes_on_while_nobody_runs_the_study():
    world = World(spec(max_seconds=60))
    world.begin()
    world.work(4)
    world.kill()
    world.started -= timedelta(seconds=60)
    world.begin()
    assert world.loop.done.wait(10)
    assert world.ended == (StudyState.FINISHED, "its 60 s are up")
    assert len(world.executed) == 4


# Several evaluations of a trial


def test_a_trial_is_the_mean_of_its_evaluations():
    study = spec(folds=3, repeats=2, trials=4, workers=4)
    seen = {}

    def whole(run):
        seen[run.id] = run
        return {"loss": run.payload["fold"] + 10 * run.payload["repeat"], "seed": run.seed % 1000}

    world = finished(study, whole=whole)
    assert set(seen) == {f"s-1/{n}/{e}" for n in range(4) for e in range(6)}
    for run in seen.values():
        evaluation = int(run.id.rpartition("/")[2])
        assert (run.payload["fold"], run.payload["folds"], run.payload["repeat"]) == (evaluation % 3, 3, evaluation // 3)
        assert run.seed == study.trial_seed(run.payload["trial"], evaluation)
    trial = world.trials[2]
    assert trial.samples["loss"] == [0, 1, 2, 10, 11, 12]
    assert trial.metrics == {"loss": 6.0, "seed": pytest.approx(sum(trial.samples["seed"]) / 6)}
    assert world.ended == (StudyState.FINISHED, "all 4 trials are done")


@given(cuts=st.lists(st.integers(0, 15), max_size=4), lose=st.integers(0, 3), seed=st.integers(0, 1000), workers=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_evaluations_that_ended_are_never_run_again(cuts, lose, seed, workers):
    study = spec(folds=3, trials=8, workers=workers, seed=seed)

    def whole(run):
        return run.payload["config"]["x"] + run.payload["fold"]

    undisturbed = finished(study, whole=whole)
    world = World(study, whole=whole, seed=seed)
    for cut in cuts:
        world.begin(lose=min(lose, len(world.trials)))
        world.work(cut)
        world.kill()
    world.begin(lose=min(lose, len(world.trials)))
    world.work()
    assert sorted(world.executed) == [(n, f) for n in range(8) for f in range(3)]
    assert {n: (t.config, t.metrics, t.samples) for n, t in world.trials.items()} == {
        n: (t.config, t.metrics, t.samples) for n, t in undisturbed.trials.items()
    }


def test_never_more_evaluations_at_once_than_workers_and_none_idle():
    world = World(spec(folds=3, trials=10, workers=4), whole=lambda run: 1.0)
    world.begin()
    counts = []
    while not world.loop.done.is_set():
        world.work(1)
        counts.append(sum(not r.state.ended for r in world.runs.values()))
    assert max(counts) == 4
    assert min(counts[:-8]) >= 3


def test_one_evaluation_that_fails_fails_the_trial_and_cancels_the_rest():
    study = spec(folds=4, trials=10, workers=2, max_failed_share=1.0)
    bad = {2, 5}

    def whole(run):
        if run.payload["trial"] in bad and run.payload["fold"] == 0:
            return ValueError("oops")
        return 1.0

    world = finished(study, whole=whole)
    assert {n for n, t in world.trials.items() if t.state is RunState.FAILED} == bad
    assert world.trials[2].reason.startswith("evaluation 0: ValueError: oops\nTraceback")
    assert (5, 3) not in world.executed
    assert {r.state for r in world.runs.values() if r.spec.id.startswith("s-1/2/")} <= {
        RunState.FAILED,
        RunState.CANCELED,
        RunState.SUCCEEDED,
    }


class Interleaved(World):
    """Each look advances one run by one measurement, so that evaluations go on side by side."""

    def begin(self, *args, **options):
        self.steps = {}
        super().begin(*args, **options)

    def carry_out(self, run):
        step = self.steps.get(run.spec.id, 0)
        self.steps[run.spec.id] = step + 1
        if step == 10:
            self.finish(run, RunState.SUCCEEDED)
            return
        m = Measurement(run=run.spec.id, attempt=1, step=step, metrics={"loss": self.whole(run.spec)})
        self.measurements.append(m)
        answer = self.loop.on_measurement(m)
        if isinstance(answer, Stop):
            self.finish(run, RunState.STOPPED, {"message": answer.reason})

    def finish(self, run, state, error=None):
        self.runs[run.spec.id] = replace(run, state=state, error=error, started=run.created, ended=datetime.now(UTC))
        self.loop.on_end(self.runs[run.spec.id])


@pytest.mark.parametrize("killed", [False, True])
def test_evaluations_are_pruned_together(killed):
    study = spec(folds=2, workers=2, trials=25, pruner=Algorithm(name="median"))
    world = Interleaved(study, whole=lambda run: run.payload["config"]["x"] + 0.1 * run.payload["fold"])
    world.begin()
    if killed:
        for _ in range(8):
            world.work(30)
            world.kill()
            world.begin()
    world.work()
    stopped = [t for t in world.trials.values() if t.state is RunState.STOPPED]
    assert 3 <= len(stopped) <= 20
    for trial in stopped:
        assert "median" in trial.reason
        assert trial.samples["loss"] == [trial.config["x"], pytest.approx(trial.config["x"] + 0.1)]
        assert trial.metrics["loss"] == pytest.approx(trial.config["x"] + 0.05)
        states = {world.runs[trial.run(e)].state for e in range(2)}
        assert RunState.STOPPED in states
    assert world.ended == (StudyState.FINISHED, "all 25 trials are done")


# Budgets of trials, and trials that go on from others


def test_budget_and_parent_come_to_the_run_and_back_to_the_searcher():
    study = spec(trials=10)

    class Promotes(Heard):
        promotes = True

    def suggest(number, config):
        if number < 5:
            return Suggestion(config=config, budget=1.0, state={"rung": 0})
        return Suggestion(config=world.trials[number - 5].config, budget=4.0, parent=number - 5, state={"rung": 1})

    world = World(study)
    searcher = Promotes(Problem.of(study), suggest)
    world.begin(searcher)
    world.work(7)
    world.kill()
    again = Promotes(Problem.of(study), suggest)
    world.begin(again)
    world.work()
    for number, trial in world.trials.items():
        run = world.runs[trial.run()].spec
        assert run.keep_checkpoint
        assert (trial.budget, trial.parent) == ((1.0, None) if number < 5 else (4.0, number - 5))
        assert run.payload["budget"] == trial.budget
        assert run.checkpoint_from == ("" if number < 5 else f"s-1/{number - 5}")
        assert trial.copied_from is None
    assert {n: (r.budget, r.parent, r.memory) for n, r in again.results.items()} == {
        n: (t.budget, t.parent, {"rung": int(n >= 5)}) for n, t in world.trials.items() if n in again.results
    }
    assert sorted(world.forgotten) == sorted(world.runs)


def test_another_budget_is_another_question():
    config = {"x": 0.5, "n": 3, "kind": "a"}
    study = spec(trials=4)
    world = World(study)
    world.begin(Heard(Problem.of(study), lambda number, _: Suggestion(config=config, budget=(1.0, 2.0, 1.0, None)[number])))
    world.work()
    assert world.executed == [0, 1, 3]
    assert (world.trials[2].copied_from, world.trials[2].budget) == (0, 1.0)


def test_a_parent_that_has_not_ended_fails_the_study():
    study = spec(trials=4)
    world = World(study)
    world.begin(Heard(Problem.of(study), lambda number, config: Suggestion(config=config, parent=3)))
    assert world.loop.done.wait(10)
    assert "trial 3 has not ended" in world.ended[1]


def test_where_a_configuration_comes_from_is_kept():
    configs = tuple({"x": x, "n": 1, "kind": "a"} for x in (0.1, 0.2, 0.3))
    world = finished(spec(enqueued=configs, origins=("trial 7 of study 'old'",), trials=5))
    assert [world.trials[n].origin for n in range(5)] == ["trial 7 of study 'old'", "enqueued", "enqueued", "", ""]


# The store is slow, or away


class Slow(World):
    """Nothing is durable before it is said so; a killed process loses what was not, in the order in which it would have been."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.pending = []

    def submit(self, specs):
        specs = list(specs)
        return self.later("runs", lambda: World.submit(self, specs))

    def write(self, trial, at_once):
        return self.later("trials", lambda: World.write(self, trial, at_once))

    def later(self, queue, work):
        future = Future()
        self.pending.append((work, future, queue))
        return future

    def swap(self):
        """Let the first of the other queue go before the first."""
        other = next((i for i, entry in enumerate(self.pending) if entry[2] is not self.pending[0][2]), None)
        if other is not None:
            self.pending.insert(0, self.pending.pop(other))

    def become_durable(self, count=1):
        for _ in range(min(count, len(self.pending))):
            work, future, _ = self.pending.pop(0)
            work()
            future.set_result(None)


@given(steps=st.lists(st.integers(0, 3), max_size=60), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_no_number_is_lost_whenever_what_becomes_durable(steps, seed):
    config = {"x": 0.5, "n": 3, "kind": "a"}
    others = [{"x": i / 10, "n": 3, "kind": "b", "extra": 1.0} for i in range(4)]
    queue = tuple(Random(seed).choice([config, *others]) for _ in range(20))
    study = spec(enqueued=queue, trials=20, workers=3)
    world = Slow(study, seed=seed)
    world.begin()
    for step in steps:
        if step == 0:
            world.become_durable()
        elif step == 1 and any(not r.state.ended for r in world.runs.values()):
            world.work(1)
        elif step == 2:
            numbers = sorted({*world.trials, *(r.spec.payload["trial"] for r in world.runs.values())})
            assert numbers == list(range(len(numbers))), "a kill now would lose a number"
        elif step == 3:
            # Two queues, the fleet's and that of trials, each in an order of its own: any merge of them may come true.
            world.swap()
    world.kill()
    world.pending = []
    world.__class__ = World
    world.begin()
    world.work()
    assert sorted(world.trials) == list(range(20))
    assert world.ended == (StudyState.FINISHED, "all 20 trials are done")


def test_nobody_waits_for_a_store_that_is_away():
    config = {"x": 0.5, "n": 3, "kind": "a"}
    world = Slow(spec(enqueued=(config, config, config, {**config, "x": 0.6}), trials=4))
    world.begin()
    world.become_durable()
    run = world.runs["s-1/0"]
    world.carry_out(run)
    # The copies are not durable, and the run behind them is not submitted; still everybody is heard.
    assert "s-1/3" not in world.runs
    assert world.loop.on_measurement(Measurement(run="s-1/0", attempt=1, step=0, metrics={"loss": 0.0})) is None
    world.become_durable(10)
    deadline = time.monotonic() + 10
    while "s-1/3" not in world.runs and time.monotonic() < deadline:
        world.become_durable(10)
        time.sleep(0.001)
    world.carry_out(world.runs["s-1/3"])
    world.become_durable(10)
    assert world.loop.done.wait(10)
    assert [world.trials[n].copied_from for n in range(4)] == [None, 0, 0, None]


def test_a_study_whose_copies_are_refused_is_left_as_it_is():
    config = {"x": 0.5, "n": 3, "kind": "a"}
    world = Slow(spec(enqueued=(config, config, {**config, "x": 0.6}), trials=3))
    world.begin()
    world.become_durable()
    world.carry_out(world.runs["s-1/0"])
    for _, future, _ in list(world.pending):
        future.set_exception(StorageFailed("the disk is full."))
    assert "s-1/2" not in world.runs
    assert not world.loop.done.is_set()
    world.kill()


@pytest.mark.parametrize("folds", [1, 2])
def test_a_pruner_that_does_not_know_all_curves_yet_stops_nobody(folds):
    world = World(spec(pruner=Algorithm(name="median"), trials=40, folds=folds), whole=lambda run: [loss_of(run.payload["config"])] * 6)
    world.begin()
    world.work(15 * folds)
    world.kill()
    earlier, known = list(world.measurements), set(world.trials)
    searcher = make_searcher(world.spec.searcher, Problem.of(world.spec))
    world.loop = StudyLoop(world.spec, searcher, make_pruner(world.spec.pruner), world, world.write)
    world.loop.restore(list(world.trials.values()), list(world.runs.values()), [], more=True)
    world.loop.start()
    world.work(10 * folds)
    meanwhile = set(world.trials) - known
    assert {world.trials[n].state for n in meanwhile} == {RunState.SUCCEEDED}
    for begin in range(0, len(earlier), 7):
        assert world.loop.recall(earlier[begin : begin + 7])
    world.loop.recalled()
    world.work()
    assert RunState.STOPPED in {t.state for n, t in world.trials.items() if n not in known | meanwhile}
    assert not world.loop.recall(earlier), "nobody is interested after the end"


def test_a_cost_that_was_spent_before_the_kill_stays_spent():
    study = spec(trials=10, max_cost=2.0, enqueued=tuple({"x": x / 10, "n": 1, "kind": "a"} for x in range(8)))
    world = World(study, whole=lambda run: {"loss": run.payload["config"]["x"], "cost": 1.0})
    world.begin()
    world.work(2)
    world.kill()
    world.ended = None
    executed = len(world.executed)
    world.begin()
    world.work()
    assert len(world.executed) == executed == 2
    assert world.ended == (StudyState.FINISHED, "its trials have cost 2 of 2")


@pytest.mark.parametrize("fault", [SystemExit(1), TypeError("no")])
def test_a_searcher_that_exits_or_remembers_what_cannot_be_written_fails_the_study(fault):
    class Odd:
        def sample(self, n):
            if isinstance(fault, SystemExit):
                raise fault
            return [Suggestion({"x": 0.5, "n": 1, "kind": "a"}, state={"model": object()})]

        def update(self, results):
            pass

    world = World(spec())
    world.begin(Odd())
    assert world.loop.done.wait(10)
    assert world.ended[0] is StudyState.FAILED
    assert "the searcher failed" in world.ended[1]
    assert not world.runs


def test_an_endless_limit_needs_no_timer_that_python_cannot_set():
    assert finished(spec(trials=2, max_seconds=1e15)).ended[0] is StudyState.FINISHED
