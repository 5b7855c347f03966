"""The searcher that chooses a searcher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wichtel.domain import Algorithm, RunState
from wichtel.tuning.ledger import ENUMERABLE, enumerate_space
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.ports import Problem, Result, Searcher, Suggestion
from wichtel.tuning.registry import make_searcher

# What decides was measured: on the tables of `benchmarks/search_quality.py`, and on smooth, conditional and two-objective functions, a
# Gaussian process found more in 100 trials, 8 at a time, than any other; in 1,000, TPE found more than NSGA-II, at ten times the cost.
#: Until so many trials are known, a Gaussian process answers in less than a tenth of a second,
_GP_TRIALS = 200
#: which so many workers can wait for;
_GP_WORKERS = 32
#: and so many parameters are few enough to learn how far each matters.
_GP_COLUMNS = 40
#: With several objectives and at least so many trials, an answer at once is worth more than a good one.
_GENERATIONS = 5000
#: A search that learns has to hear of its first trials before it has begun half of them.
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class _Stage:
    """Searcher `name` suggests the trials before number `until`."""

    name: str
    until: float
    reason: str
    options: dict[str, Any] = field(default_factory=dict)


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
        if not self._hand_over():
            self._searcher.update(results)

    def _note(self, result: Result) -> None:
        self._next = max(self._next, result.number + 1)
        if len(self._stages) > 1:
            self._log.append(result)

    def _hand_over(self) -> bool:
        """Go on to the stage that the next trial is in; whether that is another one, whose searcher has then heard everything."""
        if self._next < self._stages[0].until:
            return False
        self._stages = [stage for stage in self._stages if self._next < stage.until]
        self._searcher = self._make()
        self._searcher.update(self._log)
        if len(self._stages) == 1:
            self._log = []
        return True

    def _make(self) -> Searcher:
        return make_searcher(Algorithm(name=self._stages[0].name, options=self._stages[0].options), self._problem)


def _plan(problem: Problem) -> list[_Stage]:
    """The searchers that a study is for, in their order."""
    columns = Encoding(problem.space).dimensions
    every = enumerate_space(problem.space)
    if every is not None and len(every) <= problem.trials:
        reason = f"grid: each of the {len(every)} configurations can be tried"
        return [_Stage("grid", math.inf, reason, {"resolution": ENUMERABLE})]
    if problem.trials < _ROUNDS * problem.workers:
        at_once = min(problem.workers, problem.trials)
        reason = f"sobol: with {at_once} of {problem.trials} trials at once there is little to learn, so they are spread evenly"
        return [_Stage("sobol", math.inf, reason)]
    several = f" for {len(problem.objectives)} objectives" if len(problem.objectives) > 1 else ""
    if several and problem.trials >= _GENERATIONS:
        return [_Stage("nsga2", math.inf, f"nsga2: {problem.trials} trials are enough to breed a front{several}")]
    tpe = _Stage("tpe", math.inf, f"tpe: it answers at once{several}, however many trials there are")
    if columns > _GP_COLUMNS:
        return [replace(tpe, reason=f"tpe: {columns} parameters are too many for a Gaussian process{several}")]
    if problem.workers > _GP_WORKERS:
        return [replace(tpe, reason=f"tpe: {problem.workers} workers would wait for a slower one{several}")]
    if problem.trials <= _GP_TRIALS:
        return [_Stage("gp", math.inf, f"gp: a Gaussian process makes the most of {problem.trials} trials{several}")]
    return [_Stage("gp", _GP_TRIALS, f"gp: a Gaussian process makes the most of the first {_GP_TRIALS} trials{several}"), tpe]
