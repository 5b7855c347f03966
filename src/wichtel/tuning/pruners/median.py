"""The median stopping rule."""

from __future__ import annotations

from wichtel.tuning.pruners.percentile import Percentile


class Median(Percentile):
    """Stops a trial that was on average worse so far than the middle one of the others that have come as far was by then.

    Args:
        min_trials: Others that must have come to a step for a trial to be stopped there.
        min_steps: No trial is stopped at a step below this.

    References:
        Golovin et al., Google Vizier: a service for black-box optimization, KDD 2017, section 3.1.1, and Meister et al., MAGGY, 2020,
        section 5, of which the 4 trials are. Theirs compares the best of a trial with the averages of the others, which one that only
        guesses passes: the best of many guesses is better than guesses are on average. Here like is compared with like; and others count
        as soon as they have come as far, so that of trials that begin together the worse need not run to their end (docs/adr/0014). Those
        that were stopped count up to the step they came to.

    >>> from wichtel.domain import Objective
    >>> from wichtel.tuning.curves import Curves
    >>> curves = Curves((Objective(metric="accuracy", better="larger"),))
    >>> for trial, accuracy in enumerate([0.9, 0.8, 0.85, 0.2]):
    ...     _ = curves.add(trial, 0, accuracy)
    >>> Median(min_trials=3).decide(curves, 3).stop
    True
    """

    def __init__(self, *, min_trials: int = 4, min_steps: int = 0) -> None:
        super().__init__(percentile=50, min_trials=min_trials, min_steps=min_steps)
