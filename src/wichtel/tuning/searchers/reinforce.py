"""REINFORCE: a policy that draws configurations and learns from their rewards."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from random import Random

import numpy as np

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.models.encoding import Column, Encoding, Vector
from wichtel.tuning.pareto import Key, order
from wichtel.tuning.ports import Problem, Result, Suggestion

#: Logits stay within this, so that no probability becomes 0, of which there is no logarithm.
_SURE = 300.0


class Reinforce:
    """Draws each parameter from a distribution of its own, and makes those draws likelier that came to more than was expected.

    The reward of a configuration is the share of all results so far that it beats, so that neither the unit of the objective nor an
    outlier matters; a failed one gets 0. What was expected is the moving average of the rewards. Results are learned from in the order in
    which they are heard, however many trials run at once. A bonus for entropy, which fades as the study goes on, keeps it from settling
    too soon.

    Args:
        rate: Learning rate.
        entropy: Weight of the bonus at the beginning.
        memory: Weight of the past in the moving average.

    References:
        Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning, 1992, sections 5 and 6 (the
        update of normal units); Zoph and Le, Neural architecture search with reinforcement learning, ICLR 2017.
    """

    def __init__(self, problem: Problem, *, rate: float = 0.5, entropy: float = 0.1, memory: float = 0.9) -> None:
        if len(problem.objectives) > 1:
            raise InvalidInput("it takes one objective.", where="searcher 'reinforce'", hint="Use 'nsga2'.")
        if not rate > 0:
            raise InvalidInput(f"rate is {rate}, but must be positive.", where="searcher 'reinforce'")
        if not entropy >= 0:
            raise InvalidInput(f"entropy is {entropy}, but must not be negative.", where="searcher 'reinforce'")
        if not 0 <= memory < 1:
            raise InvalidInput(f"memory is {memory}, but must be at least 0 and below 1.", where="searcher 'reinforce'")
        self._problem = problem
        self._encoding = Encoding(problem.space)
        self._ledger = Ledger(problem.space)
        self._rate = rate
        self._entropy = entropy
        self._memory = memory
        self._units = [_Table(c) if c.categorical else _Normal() for c in self._encoding.columns]
        #: Of all results, sorted.
        self._keys: list[Key] = []
        self._expected = 0.5

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        return self._ledger.suggest(n, self._problem, self._draw)

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state in (RunState.RUNNING, RunState.CANCELED):
                continue
            (key,) = order([result])
            better = len(self._keys) - bisect_right(self._keys, key)
            alike = bisect_right(self._keys, key) - bisect_left(self._keys, key)
            reward = (better + 0.5 * alike) / len(self._keys) if self._keys else 0.5
            if not result.losses:
                reward = 0.0
            insort(self._keys, key)
            advantage = reward - self._expected
            self._expected += (1 - self._memory) * advantage
            bonus = self._entropy * max(0.0, 1 - len(self._keys) / self._problem.trials)
            for unit, entry in zip(self._units, self._encoding.encode(result.config).tolist(), strict=True):
                if not math.isnan(entry):
                    unit.learn(entry, self._rate * advantage, self._rate * bonus)

    def _draw(self, random: Random) -> Config:
        return self._encoding.decode([unit.draw(random) for unit in self._units], random)


class _Table:
    """A probability for each option of a choice, as logits."""

    def __init__(self, column: Column) -> None:
        self._count = column.count
        self._logits = np.zeros(column.count)

    def draw(self, random: Random) -> float:
        return float(random.choices(range(self._count), self._probabilities().tolist())[0])

    def learn(self, entry: float, step: float, bonus: float) -> None:
        p = self._probabilities()
        surprise = -np.log(p)
        gradient = -p
        gradient[int(entry)] += 1
        # The second term is the gradient of the entropy. By the number of options, since each is drawn the more rarely the more there are.
        moved = self._logits + self._count * (step * gradient + bonus * p * (surprise - p @ surprise))
        self._logits = np.clip(moved, -_SURE, _SURE)

    def _probabilities(self) -> Vector:
        raised: Vector = np.exp(self._logits - self._logits.max())
        return np.asarray(raised / raised.sum())


class _Normal:
    """A normal distribution of entries, cut off at 0 and 1."""

    def __init__(self) -> None:
        self._mean = 0.5
        self._deviation = 0.5

    def draw(self, random: Random) -> float:
        while not 0 <= (entry := random.gauss(self._mean, self._deviation)) <= 1:
            pass
        return entry

    def learn(self, entry: float, step: float, bonus: float) -> None:
        away = entry - self._mean
        # Williams's choice of rates, in proportion to the variance: the steps stay as long as the distribution is wide.
        shape = min((away / self._deviation) ** 2 - 1, 3.0)
        self._mean = min(max(self._mean + step * away, 0.0), 1.0)
        # By e⁴ or its inverse it comes from one bound to the other.
        change = min(max(0.5 * step * shape + bonus, -4.0), 4.0)
        self._deviation = min(max(self._deviation * math.exp(change), 0.02), 0.5)
