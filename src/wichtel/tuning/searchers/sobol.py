"""Quasi-random search."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.models.encoding import Encoding, Vector
from wichtel.tuning.ports import Problem, Result, Suggestion

#: There are direction numbers for so many parameters.
_MOST_COLUMNS = 21_201


class Sobol:
    """Fills the space evenly, so that fewer trials leave no large gap than random search needs. Point n is trial n's.

    The sequence is scrambled by the study's seed. Parameters that do not exist in a configuration are passed over. Where the configuration
    of a point was suggested before, as happens between whole numbers and choices, one is drawn at random instead.

    References:
        Sobol', On the distribution of points in a cube and the approximate evaluation of integrals, 1967; Owen, Scrambling Sobol' and
        Niederreiter-Xing points, 1998.
    """

    learns = False

    def __init__(self, problem: Problem) -> None:
        # Slow to import, and not needed where this module is only looked up.
        from scipy.stats import qmc

        self._problem = problem
        self._ledger = Ledger(problem.space)
        self._encoding = Encoding(problem.space)
        columns = self._encoding.dimensions
        if columns > _MOST_COLUMNS:
            raise InvalidInput(
                f"{columns} parameters vary, and it can take {_MOST_COLUMNS}.", where="searcher 'sobol'", hint="Use 'random'."
            )
        self._sequence = qmc.Sobol(max(columns, 1), rng=np.random.default_rng(problem.seed(0)))
        #: The number of the point that the sequence gives next.
        self._at = 0

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random, points = self._problem.random(self._ledger.next), [self._point(self._ledger.next)]
            config = self._ledger.fresh(lambda points=points, random=random: self._draw(points, random), random)  # type: ignore[misc]
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        self._ledger.hear(results)

    def _point(self, number: int) -> Vector:
        """Point `number`, shape (d,); numbers only grow."""
        if number > self._at:
            self._sequence.fast_forward(number - self._at)
        self._at = number + 1
        return np.asarray(self._sequence.random(1)[0])

    def _draw(self, points: list[Vector], random: Random) -> Config:
        """The configuration of the one point that `points` holds, and when that is gone any."""
        if not points:
            return self._problem.space.sample(random)
        shares = zip(self._encoding.columns, points.pop(), strict=False)
        return self._encoding.decode([share * column.count if column.categorical else share for column, share in shares])
