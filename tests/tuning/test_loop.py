"""The study loop alone, beside a fleet in memory that can be killed at any moment."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import Algorithm, Choice, Expectation, Float, Int, Measurement, Objective, Run, RunState, Space, StudySpec, StudyState
from wichtel.fleet import Stop
from wichtel.tuning import Problem, StudyLoop, make_pruner, make_searcher
from wichtel.tuning.ports import Suggestion

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

    def __init__(self, spec, outcome=loss_of, seed=0):
        self.spec = spec
        self.outcome = outcome
        self.random = Random(seed)
        self.runs: dict[str, Run] = {}
        self.trials = {}
        self.measurements: list[Measurement] = []
        self.executed: list[int] = []
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
        self.loop = StudyLoop(self.spec, searcher, pruner, self, self.write, on_done=lambda *ended: setattr(self, "ended", ended))
        self.loop.restore(list(self.trials.values()), list(self.runs.values()), self.measurements)
        self.loop.start()

    def kill(self):
        """End the process: what it would still say or write comes to nothing."""
        self.loop.close()

    def work(self, until=10**9):
        """Carry out runs until there is nothing to do, or `until` runs have ended."""
        deadline = time.monotonic() + 60
        while not self.loop.done.is_set() and until and time.monotonic() < deadline:
            ready = sorted((r for r in self.runs.values() if not r.state.ended), key=lambda r: int(r.spec.id.rpartition("/")[2]))
            if not ready:
                time.sleep(0.0005)
                continue
            self.carry_out(self.random.choice(ready[: self.spec.workers]))
            until -= 1

    def carry_out(self, run):
        number = run.spec.payload["trial"]
        self.executed.append(number)
        result = self.outcome(run.spec.payload["config"])
        state, error = RunState.SUCCEEDED, None
        if isinstance(result, list):
            for step, value in enumerate(result):
                m = Measurement(run=run.spec.id, attempt=1, step=step, metrics={"loss": value})
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
