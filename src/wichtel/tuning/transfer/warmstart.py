"""Warm starts: what earlier studies found best is tried first, and each such trial says where it comes from.

Configurations travel, not values: on other data a metric means something else, but what was good for one data set is often good for a
similar one (Feurer et al., AAAI 2015). So every searcher can be started warm, and a bad guess costs a few trials and misleads nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from wichtel.domain import Bool, Choice, Config, Fixed, Float, Int, Parameter, RunState, Space, StudySpec, Trial, Value
from wichtel.domain.parameter import same

#: Of each study so many of the best are tried, at most.
_BEST = 5
#: So many similar studies are asked, at most.
_STUDIES = 3
#: A study with less than this share of the parameters in common is another search.
_OVERLAP = 0.5
#: At most this share of a study's trials goes to what others found.
_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Transfer:
    """A configuration of an earlier study in the terms of a new one, and where it comes from, in words."""

    config: Config
    origin: str


def transfer(spec: StudySpec, earlier: Sequence[tuple[StudySpec, Sequence[Trial]]]) -> list[Transfer]:
    """What `spec` should try first: the best of each earlier study in turn, without repetition.

    Parameters that the earlier study did not have are drawn at random; values out of bounds are moved to the nearest that is not.
    """
    room = max(1, int(spec.trials * _SHARE))
    ranked = [(old, _best(old, trials)) for old, trials in earlier]
    found: dict[str, Transfer] = {}
    for place in range(_BEST):
        for old, best in ranked:
            if place < len(best) and len(found) < room:
                trial = best[place]
                config = translate(trial.config, spec.space, Random(f"{spec.seed}/{old.name}/{trial.number}"))
                moved = "" if all(k in config and same(config[k], v) for k, v in trial.config.items()) else ", adapted to the new space"
                origin = f"trial {trial.number} of study {old.name!r}{moved}"
                found.setdefault(spec.space.key(config), Transfer(config, origin))
    return list(found.values())


def most_similar(spec: StudySpec, others: Iterable[StudySpec]) -> list[StudySpec]:
    """Those of `others` that search for the same metrics in much the same space, by the distance of their data sets, the nearest first.

    The distance is the mean absolute difference of the meta-features that both have, each in units of its spread over all candidates; a
    study without any in common is as far as the farthest. The share of common parameters breaks ties.
    """
    candidates = [s for s in others if s.name != spec.name and s.objectives == spec.objectives and overlap(spec.space, s.space) >= _OVERLAP]
    everyone = [spec, *candidates]
    spreads = {name: _spread([s.meta[name] for s in everyone if name in s.meta]) for name in spec.meta}

    def distance(other: StudySpec) -> float:
        common = [name for name in spec.meta if name in other.meta and spreads[name] > 0]
        if not common:
            return 0.0 if not spec.meta else float("inf")
        return sum(abs(spec.meta[name] - other.meta[name]) / spreads[name] for name in common) / len(common)

    return sorted(candidates, key=lambda s: (distance(s), -overlap(spec.space, s.space), s.name))[:_STUDIES]


def overlap(new: Space, old: Space) -> float:
    """The share of the new space's parameters that vary which the old one has, too, with a value in common."""
    varying = {name: p for name, p in new.items() if not isinstance(p, Fixed)}
    common = sum(name in old and _meet(p, old[name]) for name, p in varying.items())
    return common / len(varying) if varying else 0.0


def translate(config: Mapping[str, Value], space: Space, random: Random) -> Config:
    """`config`, which belongs to another space, as one of `space`."""
    translated: Config = {}
    for name, parameter in space.items():
        if space.is_active(name, translated):
            near = _nearest(parameter, config[name]) if name in config else None
            translated[name] = parameter.sample(random) if near is None else near[0]
    return translated


def _best(spec: StudySpec, trials: Sequence[Trial]) -> list[Trial]:
    """The best first; of several objectives, each one's best in turn."""
    own = [
        t for t in trials if t.state is RunState.SUCCEEDED and t.copied_from is None and all(o.metric in t.metrics for o in spec.objectives)
    ]
    own = [t for t in own if not any(c.violation(t.metrics) for c in spec.constraints)]
    by = [sorted(own, key=lambda t, o=o: (-(t.budget or 0.0), o.loss(t.metrics[o.metric]), t.number)) for o in spec.objectives]  # type: ignore[misc]
    ordered: dict[int, Trial] = {}
    for row in zip(*by, strict=True):
        for trial in row:
            ordered.setdefault(trial.number, trial)
    return list(ordered.values())[:_BEST]


def _meet(new: Parameter, old: Parameter) -> bool:
    match new, old:
        case ((Float() | Int()), (Float() | Int())):
            return new.low <= old.high and old.low <= new.high
        case ((Float() | Int()), Fixed()):
            return _nearest(new, old.value) is not None
        case ((Choice() | Bool()), (Choice() | Bool() | Fixed())):
            return any(_nearest(new, value) is not None for value in old.values(1))
    return False


def _nearest(parameter: Parameter, value: Value) -> tuple[Value] | None:
    """The parameter's value that is nearest to `value`, in a tuple since it may be None; None if there is none near."""
    match parameter:
        case Float() | Int():
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            held = min(max(value, parameter.low), parameter.high)
            if parameter.step is not None:
                last = int((parameter.high - parameter.low) / parameter.step + 1e-9)
                held = parameter.low + min(round((held - parameter.low) / parameter.step), last) * parameter.step
            return (round(held),) if isinstance(parameter, Int) else (float(held),)
        case Choice() | Bool() | Fixed():
            found = [v for v in parameter.values(1) if same(v, value)]
            return (found[0],) if found else None


def _spread(values: list[float]) -> float:
    mean = sum(values) / len(values) if values else 0.0
    # Not by squares, which are too large for a float sooner.
    return math.hypot(*(v - mean for v in values)) / math.sqrt(len(values)) if values else 0.0
