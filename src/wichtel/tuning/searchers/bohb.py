"""BOHB: Hyperband's budgets for configurations that a model suggests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ports import Problem, Result, Suggestion
from wichtel.tuning.searchers.hyperband import Hyperband
from wichtel.tuning.searchers.tpe import TPE


class BOHB(Hyperband):
    """Like `Hyperband`, but most new configurations come from a tree-structured Parzen estimator.

    It is made of the results at the largest budget that has enough of them.

    Args:
        min_budget: See `Hyperband`.
        max_budget: See `Hyperband`.
        eta: See `Hyperband`.
        asynchronous: See `Hyperband`.
        random_fraction: Share of new configurations that are drawn at random nevertheless, lest small budgets lead the model astray.

    References:
        Falkner et al., BOHB: robust and efficient hyperparameter optimization at scale, ICML 2018.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        min_budget: float = 1,
        max_budget: float = 27,
        eta: int = 3,
        asynchronous: bool = True,
        random_fraction: float = 1 / 3,
    ) -> None:
        super().__init__(problem, min_budget=min_budget, max_budget=max_budget, eta=eta, asynchronous=asynchronous)
        if not 0 <= random_fraction <= 1:
            raise InvalidInput(f"random_fraction is {random_fraction}, but must be from 0 to 1.", where="searcher 'bohb'")
        self._random_fraction = random_fraction
        self._model = TPE(problem)

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        super().update(results)
        self._model.update(results)

    def _draw(self, random: Random) -> Iterator[Config]:
        return super()._draw(random) if random.random() < self._random_fraction else self._model.draw(random)

    def _begin(self, number: int, suggestion: Suggestion) -> None:
        super()._begin(number, suggestion)
        # To the model it is a trial that somebody else began.
        begun = Result(number=number, config=suggestion.config, state=RunState.RUNNING, budget=suggestion.budget)
        self._model.update([begun])
