"""Bayesian optimisation with Gaussian processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.models.blas import one_thread
from wichtel.tuning.models.candidates import Candidates, sobol_points
from wichtel.tuning.models.encoding import Encoding, Vector
from wichtel.tuning.models.surrogate import Surrogate
from wichtel.tuning.ports import Problem, Result, Suggestion

#: The best candidates, in case that some were suggested before.
_KEPT = 50
#: Results with losses that a model takes at least.
_FIRST = 4


class GaussianProcess:
    """Models the objective with a Gaussian process and goes where it expects the most improvement. The best choice for few, costly trials.

    Configurations are compared parameter by parameter, numbers on their own scale and choices by whether they differ, each with a length
    that is learned. Losses are made normal first, so that neither outliers nor their unit matter. Pending trials are believed to come out
    as predicted, which keeps parallel workers apart. A failed trial counts as the worst there was, a stopped one with its last loss, but
    as no better than three quarters of those that finished. With constraints, each has a process of its own, and the improvement counts
    only as far as it is probably feasible; while nothing is feasible, the violations are what is made small. Of several objectives each
    suggestion minimises another weighting.

    An answer takes some ten milliseconds at 100 trials and a hundred at 300; from then on it looks at `points` of them.

    Args:
        startup: Trials spread evenly over the space first.
        points: Most results that are modelled: the best, the latest, and some of the others.

    References:
        Rasmussen and Williams, Gaussian processes for machine learning, 2006; Ament et al., Unexpected improvements to expected
        improvement, NeurIPS 2023; Ginsbourger et al., Kriging is well-suited to parallelize optimization, 2010; Knowles, ParEGO, IEEE
        Transactions on Evolutionary Computation, 2006; Gardner et al., Bayesian optimization with inequality constraints, ICML 2014.
    """

    def __init__(self, problem: Problem, *, startup: int = 10, points: int = 300) -> None:
        if startup < 2 or points < 10:
            raise InvalidInput("startup must be at least 2, and points at least 10.", where="searcher 'gp'")
        self._problem = problem
        self._startup = startup
        self._ledger = Ledger(problem.space)
        self._encoding = Encoding(problem.space)
        self._candidates = Candidates(self._encoding)
        self._surrogate = Surrogate(self._encoding, objectives=len(problem.objectives), constraints=problem.constraints, points=points)
        self._sobol = np.zeros((0, self._encoding.dimensions))

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            proposals = self._proposals(random)
            config = self._ledger.fresh(proposals.__next__, random)
            if config is None:
                break
            self._ledger.begin(config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state is not RunState.RUNNING:
                self._surrogate.add(result)

    def _proposals(self, random: Random) -> Iterator[Config]:
        """Configurations to suggest, best first; endless."""
        if self._encoding.dimensions:
            if self._ledger.next < self._startup or self._surrogate.seen < _FIRST:
                yield self._spread(self._ledger.next, random)
            else:
                for vector in self._promising(random):
                    yield self._encoding.decode(vector, random)
        while True:
            yield self._problem.space.sample(random)

    def _spread(self, number: int, random: Random) -> Config:
        if number >= len(self._sobol):
            self._sobol = sobol_points(self._encoding.dimensions, self._problem.seed(0), max(number + 1, self._startup))
        counts = [column.count if column.categorical else 1 for column in self._encoding.columns]
        return self._encoding.decode(self._sobol[number] * counts, random)

    def _promising(self, random: Random) -> Vector:
        """The candidates with the best acquisition, best first; shape (m, d)."""
        draws = np.random.default_rng(random.getrandbits(64))
        pending = [self._encoding.encode(config) for config in self._ledger.running.values()]
        with one_thread():
            acquisition, leaders = self._surrogate.worth(np.array(pending), draws)
            vectors, _ = self._candidates.search(acquisition, leaders, draws)
        return vectors[:_KEPT]
