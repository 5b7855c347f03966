"""What every pruner must do. Copy `tests/tuning/test_pruners.py` to face your own with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from wichtel.domain import Algorithm, Expectation, Objective
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision, Pruner
from wichtel.tuning.registry import make_pruner, pruner_names

Factory = Callable[[], Pruner]
#: ``(trial, step, value)``; a step of None is the trial's end.
Event = tuple[int, int | None, float]


def registered() -> dict[str, Factory]:
    """Each installed pruner's name and factory."""

    def factory(name: str) -> Factory:
        return lambda: make_pruner(Algorithm(name=name))

    return {name: factory(name) for name in pruner_names()}


def curves_of(events: Iterable[Event], better: Expectation = Expectation.LARGER) -> Curves:
    """The curves after `events`."""
    curves = Curves((Objective(metric="score", better=better),))
    for trial, step, value in events:
        if step is None:
            curves.end(trial)
        else:
            curves.add(trial, step, value)
    return curves


def play(pruner: Pruner, events: Iterable[Event], better: Expectation = Expectation.LARGER) -> list[Decision]:
    """Every decision along `events`; a trial that was stopped reports no more."""
    curves, decisions, stopped = curves_of([], better), [], set()
    for trial, step, value in events:
        if trial in stopped:
            continue
        if step is None:
            curves.end(trial)
        elif curves.add(trial, step, value):
            decision = pruner.decide(curves, trial)
            decisions.append(decision)
            if decision.stop:
                stopped.add(trial)
                curves.end(trial)
    return decisions


def random_events(seed: int, trials: int = 20, steps: int = 12) -> list[Event]:
    """Trials of different quality that start and end at different times, some reporting only now and then."""
    random = Random(seed)
    quality = [random.random() for _ in range(trials)]
    position = [0] * trials
    events: list[Event] = []
    active = list(range(trials))
    while active:
        trial = random.choice(active[:5])
        if position[trial] >= steps:
            active.remove(trial)
            events.append((trial, None, 0.0))
            continue
        position[trial] += random.choice([1, 1, 1, 2])
        events.append((trial, position[trial], quality[trial] + 0.1 * random.random()))
    return events


def check_reasons(factory: Factory) -> None:
    """Every decision says why."""
    assert all(d.reason for d in play(factory(), random_events(1)))


def check_pure(factory: Factory) -> None:
    """The same curves give the same decision: asked twice, of another instance, and of curves built without ever being asked before."""
    events = random_events(2)
    pruner = factory()
    curves = curves_of([])
    done: list[Event] = []
    for event in events:
        done.append(event)
        trial, step, value = event
        if step is None:
            curves.end(trial)
            continue
        curves.add(trial, step, value)
        decision = pruner.decide(curves, trial)
        assert pruner.decide(curves, trial) == decision
        assert factory().decide(curves_of(done), trial) == decision


def check_direction(factory: Factory) -> None:
    """Turning the metric round changes nothing but the words."""
    events = random_events(3)
    turned = [(trial, step, -value) for trial, step, value in events]
    larger = [d.stop for d in play(factory(), events, Expectation.LARGER)]
    assert larger == [d.stop for d in play(factory(), turned, Expectation.SMALLER)]


def check_best_survives(factory: Factory) -> None:
    """A trial that is better than every other at every step is never stopped; a lone one neither."""
    for seed in range(5):
        events: list[Event] = [(t, s, v if t != 7 else 2.0 + (s or 0)) for t, s, v in random_events(seed)]
        curves, pruner = curves_of([]), factory()
        for trial, step, value in events:
            if step is None:
                curves.end(trial)
            else:
                curves.add(trial, step, value)
                assert not (trial == 7 and pruner.decide(curves, trial).stop), "the best trial was stopped"
    assert not any(d.stop for d in play(factory(), [(0, s, float(-s)) for s in range(1, 50)]))


def check_all(factory: Factory) -> None:
    """All of the above."""
    for check in CHECKS:
        check(factory)


CHECKS = (check_reasons, check_pure, check_direction, check_best_survives)
