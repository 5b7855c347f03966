"""A study that can hardly come to more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wichtel.domain import InvalidInput, RunState
from wichtel.tuning.models.blas import one_thread
from wichtel.tuning.models.candidates import Candidates
from wichtel.tuning.models.encoding import Encoding
from wichtel.tuning.models.surrogate import Surrogate
from wichtel.tuning.ports import Decision, Problem, Result
from wichtel.tuning.terminators.news import News, complete

#: The bounds hold for all configurations and trials together with at least this probability, 1 - δ.
_DELTA = 0.1


class RegretBound:
    """Ends a study when, going by a Gaussian process, no configuration can be better than the best trial by more than what is worth it.

    What is worth it is `epsilon`, or else what the same configuration differs by from one evaluation to the next, as the process sees it:
    a smaller gain could not be told from luck. For one objective; only trials with the largest budget so far are looked at.

    Args:
        epsilon: The gain that is not worth going on for, in the metric's unit; by default the standard deviation of its noise.
        min_trials: The study goes on until at least so many have ended.
        every: It is judged whenever so many more have ended.

    References:
        Makarova et al., Automatic termination for hyperparameter optimization, AutoML 2022; the width of the band is that of Srinivas et
        al., Gaussian process optimization in the bandit setting, ICML 2010, theorem 1, divided by 5 as there.
    """

    def __init__(self, problem: Problem, *, epsilon: float | None = None, min_trials: int = 30, every: int = 5) -> None:
        if len(problem.objectives) > 1:
            raise InvalidInput("it watches one objective.", where="terminator 'regret_bound'", hint="Use 'no_improvement'.")
        if epsilon is not None and not epsilon >= 0:
            raise InvalidInput(f"epsilon is {epsilon}, but must not be negative.", where="terminator 'regret_bound'")
        if min_trials < 4 or every < 1:
            raise InvalidInput("min_trials must be at least 4, and every at least 1.", where="terminator 'regret_bound'")
        self._problem = problem
        self._epsilon = epsilon
        self._min_trials = min_trials
        self._every = every
        self._encoding = Encoding(problem.space)
        self._candidates = Candidates(self._encoding)
        self._last: tuple[int, Decision] = (-1, Decision(False, ""))

    def decide(self, results: Sequence[Result]) -> Decision:
        """See `Terminator.decide`."""
        ended = len(results)
        if ended < self._min_trials:
            return Decision(False, f"fewer than {self._min_trials} trials have ended")
        if not self._encoding.dimensions:
            return Decision(True, "there is only one configuration")
        count = self._min_trials + (ended - self._min_trials) // self._every * self._every
        if self._last[0] != count:
            self._last = (count, self._judge(results[:count]))
        return self._last[1]

    def _judge(self, results: Sequence[Result]) -> Decision:
        counted: list[Result] = []
        for result, larger in News().of(results):
            if larger:
                counted = []
            if result.state is not RunState.CANCELED:
                counted.append(result)
        if sum(map(complete, counted)) < self._min_trials // 2:
            return Decision(False, f"fewer than {self._min_trials // 2} trials have a feasible result")
        surrogate = Surrogate(self._encoding, constraints=self._problem.constraints)
        for result in counted:
            surrogate.add(result)
        beta = 0.4 * math.log(self._encoding.dimensions * len(counted) ** 2 * math.pi**2 / (6 * _DELTA))
        with one_thread():
            bound, noise = surrogate.regret(self._candidates, math.sqrt(beta), np.random.default_rng(len(counted)))
        metric = self._problem.objectives[0].metric
        enough = noise if self._epsilon is None else self._epsilon
        what = "its noise" if self._epsilon is None else "epsilon"
        if bound <= enough:
            return Decision(True, f"no configuration is likely to better {metric} by more than {bound:.3g}; {what} is {enough:.3g}")
        return Decision(False, f"{metric} may still get better by up to {bound:.3g}; {what} is {enough:.3g}")
