"""The median stopping rule."""

from __future__ import annotations

from wichtel.tuning.pruners.percentile import Percentile


class Median(Percentile):
    """Stops a trial whose best so far is worse than what the middle one of the others that have come as far had on average by then.

    Args:
        min_trials: Trials that must have ended before any is stopped, and others that must have come to a step for one to be stopped there.
        min_steps: No trial is stopped at a step below this.

    References:
        Golovin et al., Google Vizier: a service for black-box optimization, KDD 2017, section 3.1.1; the default of 4 trials is that of
        Meister et al., MAGGY, 2020. Here all that have come to the step count, running or ended, and only they: trials that were stopped
        before would lower the bar for those that come after.

    >>> from wichtel.domain import Objective
    >>> from wichtel.tuning.curves import Curves
    >>> curves = Curves((Objective(metric="accuracy", better="larger"),))
    >>> for trial, accuracy in enumerate([0.9, 0.8, 0.85, 0.2]):
    ...     _ = curves.add(trial, 0, accuracy)
    >>> for trial in range(3):
    ...     curves.end(trial)
    >>> Median(min_trials=3).decide(curves, 3).stop
    True
    """

    def __init__(self, *, min_trials: int = 4, min_steps: int = 0) -> None:
        super().__init__(percentile=50, min_trials=min_trials, min_steps=min_steps)
