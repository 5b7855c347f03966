"""The searcher that chooses a searcher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wichtel.domain import Algorithm, RunState
from wichtel.tuning.encoding import Encoding
from wichtel.tuning.ledger import enumerate_space
from wichtel.tuning.ports import Problem, Result, Searcher, Suggestion
from wichtel.tuning.registry import make_searcher

#: A Gaussian process answers fast enough up to so many trials,
_GP_TRIALS = 300
#: and learns enough from them of so many parameters.
_GP_COLUMNS = 20
#: With several objectives and at least so many trials, generations are worth their time.
_GENERATIONS = 1000
#: A search that learns needs to hear of its first trials before it has begun half of them.
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class _Stage:
    """Searcher `name` suggests the trials before number `until`."""

    name: str
    until: float
    reason: str


class Auto:
    """Chooses the searcher for a study by its space, its number of trials, its workers and its objectives, and says which and why.

    It may begin with one and go on with another; the second then knows all that the first heard.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._stages = _plan(problem)
        self._searcher = self._make()
        self.learns: bool = getattr(self._searcher, "learns", True)
        #: What the next stage will have to hear.
        self._log: list[Result] = []
        self._next = 0

    @property
    def explanation(self) -> str:
        """What searches and why, in words."""
        return "; then ".join(stage.reason for stage in self._stages)

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n:
            self._hand_over()
            wanted = min(n - len(suggestions), self._stages[0].until - self._next)
            found = self._searcher.sample(int(wanted))
            for suggestion in found:
                self._note(
                    Result(
                        number=self._next,
                        config=suggestion.config,
                        state=RunState.RUNNING,
                        budget=suggestion.budget,
                        parent=suggestion.parent,
                        memory=suggestion.state,
                    )
                )
            suggestions += found
            if len(found) < wanted:
                break
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in results:
            self._note(result)
        self._searcher.update(results)

    def _note(self, result: Result) -> None:
        self._next = max(self._next, result.number + 1)
        if len(self._stages) > 1:
            self._log.append(result)

    def _hand_over(self) -> None:
        while self._next >= self._stages[0].until:
            self._stages = self._stages[1:]
            self._searcher = self._make()
            self._searcher.update(self._log)
            if len(self._stages) == 1:
                self._log = []

    def _make(self) -> Searcher:
        return make_searcher(Algorithm(name=self._stages[0].name), self._problem)


def _plan(problem: Problem) -> list[_Stage]:
    """The searchers that a study is for, in their order."""
    columns = Encoding(problem.space).columns
    every = enumerate_space(problem.space)
    if every is not None and len(every) <= problem.trials:
        return [_Stage("grid", math.inf, f"grid: each of the {len(every)} configurations can be tried")]
    if problem.trials < _ROUNDS * problem.workers:
        reason = f"sobol: with {problem.workers} of {problem.trials} trials at once there is little to learn, so they are spread evenly"
        return [_Stage("sobol", math.inf, reason)]
    if len(problem.objectives) > 1 and problem.trials >= _GENERATIONS:
        reason = f"nsga2: {problem.trials} trials are enough to breed a front for {len(problem.objectives)} objectives"
        return [_Stage("nsga2", math.inf, reason)]
    if len(columns) > _GP_COLUMNS:
        return [_Stage("tpe", math.inf, f"tpe: {len(columns)} parameters are too many for a Gaussian process")]
    if problem.trials <= _GP_TRIALS:
        return [_Stage("gp", math.inf, f"gp: a Gaussian process makes the most of {problem.trials} trials")]
    return [
        _Stage("gp", _GP_TRIALS, f"gp: a Gaussian process makes the most of the first {_GP_TRIALS} trials"),
        _Stage("tpe", math.inf, "tpe: fast, however many trials there are"),
    ]
