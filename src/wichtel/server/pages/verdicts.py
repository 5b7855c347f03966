"""Constraints as drawings: where the threshold is, and where the interval of the difference lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wichtel.domain import Constraint, Finding
from wichtel.domain.metric import Expectation

#: Of a drawing, in its own units.
WIDTH = 480
_MARGIN = 24


@dataclass(frozen=True, slots=True)
class Drawn:
    """A constraint with what was found, in pixels from the left."""

    finding: Finding
    #: No difference at all.
    zero: float
    threshold: float
    delta: float | None
    low: float
    high: float
    #: Where the constraint holds: from, to.
    good: tuple[float, float]
    #: Whether there is an interval at all.
    bounded: bool
    relative: bool
    #: In the metric's own direction, whichever is better.
    threshold_value: float
    delta_value: float
    low_value: float
    high_value: float


def draw(finding: Finding) -> Drawn:
    """The drawing of one constraint: differences from worse, or smaller, at the left to larger at the right."""
    constraint, estimate = finding.constraint, finding.estimate
    relative = constraint.relative
    low, high = (estimate.relative_low, estimate.relative_high) if relative else (estimate.low, estimate.high)
    delta = estimate.relative if relative else estimate.delta
    larger = constraint.expectation is Expectation.LARGER
    threshold = constraint.threshold if larger else -constraint.threshold
    bounded = math.isfinite(low) and math.isfinite(high)
    known = [v for v in (0.0, threshold, delta, low, high) if math.isfinite(v)]
    least, most = min(known), max(known)
    room = (most - least) * 0.12 or 1.0
    least, most = least - room, most + room

    def at(value: float) -> float:
        if math.isnan(value):
            return WIDTH / 2
        share = (min(max(value, least), most) - least) / (most - least)
        return round(_MARGIN + share * (WIDTH - 2 * _MARGIN), 1)

    return Drawn(
        finding=finding,
        zero=at(0.0),
        threshold=at(threshold),
        delta=at(delta) if math.isfinite(delta) else None,
        low=at(low) if bounded else 0.0,
        high=at(high) if bounded else float(WIDTH),
        good=(at(threshold), float(WIDTH)) if larger else (0.0, at(threshold)),
        bounded=bounded,
        relative=relative,
        threshold_value=threshold,
        delta_value=delta,
        low_value=low,
        high_value=high,
    )


@dataclass(frozen=True, slots=True)
class Sketch:
    """The smallest difference that a constraint would be shown to hold with, in pixels from the left."""

    zero: float
    threshold: float
    needed: float
    low: float
    high: float
    #: Where the constraint holds: from, to.
    good: tuple[float, float]


def sketch(constraint: Constraint, reach: float) -> Sketch:
    """The drawing of a constraint before anything is known, if intervals reach so far to either side."""
    sign = constraint.expectation.sign
    threshold = constraint.threshold * sign
    needed = threshold + reach * sign
    known = (0.0, threshold, needed + reach, needed - reach)
    least, most = min(known), max(known)
    room = (most - least) * 0.12 or 1.0

    def at(value: float) -> float:
        return round(_MARGIN + (value - least + room) / (most - least + 2 * room) * (WIDTH - 2 * _MARGIN), 1)

    good = (at(threshold), float(WIDTH)) if sign > 0 else (0.0, at(threshold))
    return Sketch(zero=at(0.0), threshold=at(threshold), needed=at(needed), low=at(needed - reach), high=at(needed + reach), good=good)
