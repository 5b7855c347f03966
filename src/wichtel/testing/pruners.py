"""What every pruner must do. Copy `tests/tuning/test_pruners.py` to face your own with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random

from wichtel.domain import Algorithm, Expectation, Objective
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Decision, Pruner
from wichtel.tuning.registry import make_pruner, pruner_names

Factory = Callable[[], Pruner]
#: ``(trial, step, values)``, one value for each objective; a step of None is the trial's end.
Event = tuple[int, int | None, float | tuple[float, ...]]


def registered() -> dict[str, Factory]:
    """Each installed pruner's name and factory."""

    def factory(name: str) -> Factory:
        return lambda: make_pruner(Algorithm(name=name))

    return {name: factory(name) for name in pruner_names()}


def curves_of(events: Iterable[Event], *better: Expectation) -> Curves:
    """The curves after `events`; for each of `better` one objective, without any for one that grows."""
    curves = Curves(tuple(Objective(metric=f"score{i}", better=b) for i, b in enumerate(better or (Expectation.LARGER,))))
    for event in events:
        note(curves, event)
    return curves


def note(curves: Curves, event: Event) -> bool:
    """Add `event`; whether it is a measurement to decide on."""
    trial, step, values = event
    if step is not None:
        return curves.add(trial, step, values)
    curves.end(trial)
    return False


def play(pruner: Pruner, events: Iterable[Event], *better: Expectation) -> list[Decision]:
    """Every decision along `events`; a trial that was stopped reports no more."""
    curves, decisions, stopped = curves_of([], *better), [], set()
    for event in events:
        trial = event[0]
        if trial not in stopped and note(curves, event):
            decision = pruner.decide(curves, trial)
            decisions.append(decision)
            if decision.stop:
                stopped.add(trial)
                curves.end(trial)
    return decisions


def random_events(seed: int, trials: int = 20, steps: int = 12, objectives: int = 1, broken: float = 0.0) -> list[Event]:
    """Trials of different quality that start and end at different times, some reporting only now and then.

    Args:
        broken: The share of values that are not finite.
    """
    random = Random(seed)
    quality = [[random.random() for _ in range(objectives)] for _ in range(trials)]
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
        values = [q + 0.1 * random.random() for q in quality[trial]]
        if random.random() < broken:
            values[random.randrange(objectives)] = random.choice([math.nan, math.inf, -math.inf])
        events.append((trial, position[trial], values[0] if objectives == 1 else tuple(values)))
    return events


def check_reasons(factory: Factory) -> None:
    """Every decision says why."""
    assert all(d.reason for d in play(factory(), random_events(1)))


def check_pure(factory: Factory) -> None:
    """The same curves give the same decision: asked twice, of another instance, and of curves built without ever being asked before."""
    for objectives, broken in ((1, 0.0), (2, 0.05)):
        better = (Expectation.LARGER,) * objectives
        events = random_events(2, objectives=objectives, broken=broken)
        pruner, curves = factory(), curves_of([], *better)
        for i, event in enumerate(events):
            if note(curves, event):
                decision = pruner.decide(curves, event[0])
                assert pruner.decide(curves, event[0]) == decision
                assert factory().decide(curves_of(events[: i + 1], *better), event[0]) == decision


def check_direction(factory: Factory) -> None:
    """Turning a metric round changes nothing but the words."""
    events = random_events(3, objectives=2)
    turned: list[Event] = [(t, s, v if s is None else (_all(v)[0], -_all(v)[1])) for t, s, v in events]
    expected = [d.stop for d in play(factory(), events, Expectation.LARGER, Expectation.LARGER)]
    assert [d.stop for d in play(factory(), turned, Expectation.LARGER, Expectation.SMALLER)] == expected
    events = random_events(3)
    turned = [(t, s, -_all(v)[0]) for t, s, v in events]
    expected = [d.stop for d in play(factory(), events, Expectation.LARGER)]
    assert [d.stop for d in play(factory(), turned, Expectation.SMALLER)] == expected


def check_best_survives(factory: Factory) -> None:
    """Who gets better with every report, and whose worst is better than all that others ever report, is never stopped, even alone.

    That is all that is asked: a pruner may stop a trial that stands still, or is out of bounds, though no other is better.
    """
    for objectives in (1, 2):
        _survives(factory, objectives, lambda step, values: tuple(2.0 + step for _ in values))
    assert not any(d.stop for d in play(factory(), [(0, s, float(s)) for s in range(1, 50)]))


def check_front_survives(factory: Factory) -> None:
    """With several objectives, being such a trial in one of them is enough."""
    _survives(factory, 2, lambda step, values: (2.0 + step, values[1] - 2.0))
    _survives(factory, 3, lambda step, values: (values[0] - 2.0, values[1], 2.0 + step))


def check_broken_values(factory: Factory) -> None:
    """NaN, infinite and huge values, even nothing else, are no reason to fail."""
    for objectives in (1, 2, 3):
        better = (Expectation.LARGER,) * objectives
        for broken in (0.1, 1.0):
            assert all(d.reason for d in play(factory(), random_events(4, objectives=objectives, broken=broken), *better))
        huge: list[Event] = [
            (t, s, tuple(v * (-1e300 if t % 3 else 1.0) for v in _all(vs))) for t, s, vs in random_events(5, objectives=objectives)
        ]
        assert all(d.reason for d in play(factory(), huge, *better))


def check_all(factory: Factory) -> None:
    """All of the above."""
    for check in CHECKS:
        check(factory)


CHECKS = (check_reasons, check_pure, check_direction, check_best_survives, check_front_survives, check_broken_values)


def _survives(factory: Factory, objectives: int, best: Callable[[int, tuple[float, ...]], tuple[float, ...]]) -> None:
    """Trial 7 reports what `best` makes of its step and of what it would have reported; it must not be stopped."""
    for seed in range(5):
        curves, pruner = curves_of([], *(Expectation.LARGER,) * objectives), factory()
        for trial, step, values in random_events(seed, objectives=objectives):
            ours = trial == 7 and step is not None
            if note(curves, (trial, step, best(step or 0, _all(values)) if ours else values)) and ours:
                assert not pruner.decide(curves, trial).stop, "the best trial was stopped"


def _all(values: float | tuple[float, ...]) -> tuple[float, ...]:
    return values if isinstance(values, tuple) else (values,)
