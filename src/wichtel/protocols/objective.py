"""One number for a search to maximise, made of an intent's constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping

from wichtel.domain import Constraint, Intent, UserError, did_you_mean

#: How much more a missed constraint weighs than the same gain of the primary metric. Large enough that no trial wins by breaking one a
#: little, small enough that the searcher still sees in which direction the constraint is met.
PENALTY = 10.0


def gain(constraint: Constraint, baseline: float, candidate: float) -> float:
    """The gain in the constraint's direction, in its own terms (a fraction of ``|baseline|`` if relative)."""
    difference = (candidate - baseline) * constraint.expectation.sign
    if constraint.relative and difference:
        return difference / abs(baseline) if baseline else math.copysign(math.inf, difference)
    return difference


def objective(intent: Intent, baseline: Mapping[str, float], candidate: Mapping[str, float]) -> float:
    """The gain of the primary metric, less `PENALTY` times what each other constraint misses its threshold by. Larger is better.

    Raises:
        UserError: a constrained metric was not reported.
    """
    for c in intent.constraints:
        for metrics in (baseline, candidate):
            if c.metric not in metrics:
                raise UserError(
                    f"intent {intent.name!r} constrains metric {c.metric!r}, which the model does not report.",
                    hint=did_you_mean(c.metric, metrics),
                )
    missed = sum(
        max(0.0, c.threshold - gain(c, baseline[c.metric], candidate[c.metric])) for c in intent.constraints if c.metric != intent.primary
    )
    primary = intent.constraint(intent.primary)
    return gain(primary, baseline[primary.metric], candidate[primary.metric]) - PENALTY * missed
