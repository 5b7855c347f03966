"""What every searcher has to remember: which number comes next, what is running, and what was suggested before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from wichtel.domain import Config, Float, Int, Parameter, RunState, Space
from wichtel.tuning.ports import Problem, Result, Suggestion

#: A space with more configurations than this counts as endless: nobody runs out of it.
ENUMERABLE = 10_000
#: No population is larger: its members are made at once.
MOST_MEMBERS = 100_000
_DRAWS = 100


class Ledger:
    """Bookkeeping for a searcher that never suggests the same configuration twice."""

    def __init__(self, space: Space) -> None:
        self._space = space
        #: The number of the next trial to be sampled.
        self.next = 0
        #: Trials that were sampled or heard of and have not ended.
        self.running: dict[int, Config] = {}
        self._keys: set[str] = set()
        #: Whether somebody may run out of configurations; None: nobody has asked yet.
        self._finite: bool | None = None
        #: Of a finite space, those that are new, by key, in the order of the grid.
        self._left: dict[str, Config] = {}

    def begin(self, config: Config) -> int:
        """Note that `config` was suggested; returns its number."""
        number = self.next
        self.next += 1
        self.running[number] = config
        key = self._space.key(config)
        self._keys.add(key)
        self._left.pop(key, None)
        return number

    def hear(self, results: Sequence[Result]) -> list[Result]:
        """Note `results`; returns those that are news: begun by someone else, or ended (once)."""
        news = []
        for result in results:
            if result.state is RunState.RUNNING:
                if result.number < self.next:
                    continue
                self.next = result.number
                self.begin(result.config)
            elif self.running.pop(result.number, None) is None:
                continue
            news.append(result)
        return news

    def suggest(self, n: int, problem: Problem, draw: Callable[[Random], Config], **state: Any) -> list[Suggestion]:
        """The next `n` configurations that `draw` gives, each from its own trial's random numbers; fewer when none is left.

        Args:
            state: `Suggestion.state` of each.
        """
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = problem.random(self.next)
            config = self.fresh(partial(draw, random), random)
            if config is None:
                break
            self.begin(config)
            suggestions.append(Suggestion(config=config, state=dict(state)))
        return suggestions

    def is_new(self, config: Config) -> bool:
        """Whether `config` was neither suggested nor heard of."""
        return self._space.key(config) not in self._keys

    def fresh(self, draw: Callable[[], Config], random: Random) -> Config | None:
        """Draw until a configuration is new.

        Returns:
            None when every configuration of the space was suggested. In a space too large to tell, an old configuration in the worst case.
        """
        config = draw()
        for _ in range(_DRAWS):
            if self.is_new(config):
                return config
            config = draw()
        if self._finite is None:
            every = enumerate_space(self._space)
            self._finite = every is not None
            self._left = {key: c for c in every or () if (key := self._space.key(c)) not in self._keys}
        if not self._finite:
            return config
        return dict(random.choice([*self._left.values()])) if self._left else None


def enumerate_space(space: Space) -> list[Config] | None:
    """Every configuration, in the order of the grid; None if there are more than `ENUMERABLE`."""
    at_least = 1.0
    for parameter in space.values():
        count = _count(parameter)
        at_least = max(count, at_least if parameter.when else at_least * count)
        if at_least > ENUMERABLE:
            return None
    found = list(islice(space.grid(resolution=ENUMERABLE), ENUMERABLE + 1))
    return found if len(found) <= ENUMERABLE else None


def _count(parameter: Parameter) -> float:
    """How many values it has."""
    if isinstance(parameter, Int):
        return (parameter.high - parameter.low) // parameter.step + 1
    if isinstance(parameter, Float) and parameter.low < parameter.high:
        return math.inf if parameter.step is None else math.floor((parameter.high - parameter.low) / parameter.step + 1e-9) + 1
    return len(parameter.values(1))
