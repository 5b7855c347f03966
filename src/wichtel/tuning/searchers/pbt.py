"""Population-based training: hyperparameters change while models train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from wichtel.domain import Bool, Choice, Config, Fixed, Float, Int, InvalidInput, Parameter, RunState, Value
from wichtel.tuning.ledger import MOST_MEMBERS, Ledger
from wichtel.tuning.pareto import order
from wichtel.tuning.ports import Problem, Result, Suggestion


@dataclass(slots=True)
class _Member:
    #: Its last trial that ended, whatever became of it.
    last: Result | None = None
    running: bool = False


class PBT:
    """Trains a population at once; who falls behind goes on from a copy of one of the best, with hyperparameters near those.

    A trial is one interval in the life of a member: it trains from its parent's checkpoint up to its `budget`. What is found is a schedule:
    the configurations along the ancestors of the best trial. Nobody waits: a member is compared with the latest results of the others,
    however far they are. For functions that ask for ``budget``, `checkpoint_path` and `resume`.

    Args:
        population: Members; by default a tenth of the study, 4 to 100, and at least as many as there are workers.
        interval: How much budget a member gets before it is compared again.
        quantile: The share of the population that copies, and the share that is copied.
        perturbation: A copied number is multiplied or divided by one more than this,
        resample: or, with this probability, drawn anew. A copied choice is drawn anew with this probability.

    References:
        Jaderberg et al., Population based training of neural networks, arXiv:1711.09846, algorithm 1 (exploit by truncation selection).
    """

    promotes = True

    def __init__(
        self,
        problem: Problem,
        *,
        population: int | None = None,
        interval: float = 1,
        quantile: float = 0.25,
        perturbation: float = 0.2,
        resample: float = 0.25,
    ) -> None:
        where = "searcher 'pbt'"
        population = max(4, problem.workers, min(problem.trials // 10, 100)) if population is None else population
        if not 2 <= population <= MOST_MEMBERS:
            raise InvalidInput(f"population is {population}, but must be 2 to {MOST_MEMBERS:,}.", where=where)
        if not (interval > 0 and math.isfinite(interval)):
            raise InvalidInput(f"interval is {interval}, but must be a positive number.", where=where)
        if not 0 < quantile <= 0.5:
            raise InvalidInput(f"quantile is {quantile}, but must be above 0 and at most 0.5.", where=where)
        if not perturbation > 0:
            raise InvalidInput(f"perturbation is {perturbation}, but must be positive.", where=where)
        if not 0 <= resample <= 1:
            raise InvalidInput(f"resample is {resample}, but must be from 0 to 1.", where=where)
        self._problem = problem
        self._space = problem.space
        self._ledger = Ledger(problem.space)
        self._members = [_Member() for _ in range(population)]
        self._interval = interval
        self._cut = max(1, round(population * quantile))
        self._factor = 1 + perturbation
        self._resample = resample
        #: Configuration, budget and parent of each trial, so that no two are the same.
        self._steps: set[tuple[str, float | None, int | None]] = set()
        self.explanation = (
            f"{population} members train, {interval:g} at a time; "
            f"then the last {self._cut} of them go on from copies of the first {self._cut}, with other hyperparameters."
        )

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        while len(suggestions) < n:
            idle = [i for i, member in enumerate(self._members) if not member.running]
            # Who is behind goes first, so that the members stay comparable. One for which nothing is left is passed over.
            steps = (self._step(i, self._problem.random(self._ledger.next)) for i in sorted(idle, key=lambda i: (self._budget(i), i)))
            suggestion = next((s for s in steps if s is not None), None)
            if suggestion is None:
                break
            self._begin(suggestion)
            self._ledger.begin(suggestion.config)
            suggestions.append(suggestion)
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if "member" not in result.memory:
                # One of the user's.
                continue
            if result.state is RunState.RUNNING:
                self._begin(Suggestion(config=result.config, budget=result.budget, parent=result.parent, state=result.memory))
            else:
                member = self._members[result.memory["member"]]
                member.running = False
                member.last = result

    def _budget(self, at: int) -> float:
        last = self._members[at].last
        return 0.0 if last is None else last.budget or 0.0

    def _begin(self, suggestion: Suggestion) -> None:
        at = suggestion.state["member"]
        # A study that is taken up with fewer workers keeps the members that it had.
        self._members += [_Member() for _ in range(at + 1 - len(self._members))]
        self._members[at].running = True
        self._steps.add(self._key(suggestion.config, suggestion.budget, suggestion.parent))

    def _key(self, config: Config, budget: float | None, parent: int | None) -> tuple[str, float | None, int | None]:
        return self._space.key(config), budget, parent

    def _step(self, at: int, random: Random) -> Suggestion | None:
        """What member `at` does next; None if there is nothing."""
        last = self._members[at].last
        # Stopped and failed ones do not compare, and are behind all others.
        ranked = [m.last for m in self._members if m.last is not None and m.last.state is RunState.SUCCEEDED and m.last.losses]
        keys = order(ranked)
        ranked = [ranked[i] for i in sorted(range(len(ranked)), key=lambda i: (keys[i], ranked[i].number))]
        if last is not None and ranked:
            standing = next((i for i, r in enumerate(ranked) if r.number == last.number), None)
            best = ranked[: self._cut]
            if standing is None or (standing >= len(self._members) - self._cut and standing >= len(best)):
                copied = self._copied(at, random.choice(best), random)
                if copied is not None:
                    return copied
            if standing is not None:
                return self._suggestion(at, last.config, last)
        config = self._ledger.fresh(lambda: self._space.sample(random), random)
        return None if config is None else self._suggestion(at, config, None)

    def _suggestion(self, at: int, config: Config, parent: Result | None) -> Suggestion:
        budget = self._interval + (parent.budget or 0.0 if parent else 0.0)
        return Suggestion(config=config, budget=budget, parent=parent.number if parent else None, state={"member": at})

    def _copied(self, at: int, model: Result, random: Random) -> Suggestion | None:
        for _ in range(20):
            suggestion = self._suggestion(at, self._explored(model.config, random), model)
            # The same configuration is for the one that is copied to go on with.
            new = self._key(suggestion.config, suggestion.budget, suggestion.parent) not in self._steps
            if new and self._space.key(suggestion.config) != self._space.key(model.config):
                return suggestion
        return None

    def _explored(self, config: Config, random: Random) -> Config:
        """A configuration near `config`."""
        near: Config = {}
        for name, parameter in self._space.items():
            if self._space.is_active(name, near):
                anew = name not in config or random.random() < self._resample
                near[name] = parameter.sample(random) if anew else self._perturbed(parameter, config[name], random)
        return near

    def _perturbed(self, parameter: Parameter, value: Value, random: Random) -> Value:
        match parameter:
            case Float() | Int():
                assert isinstance(value, int | float)
                up = random.random() < 0.5
                moved = value * self._factor if up == (value >= 0) else value / self._factor
                if isinstance(parameter, Float) and parameter.step is None:
                    return min(max(moved, parameter.low), parameter.high)
                step = parameter.step or 1
                k = (moved - parameter.low) / step
                # At least one step, or small whole numbers would never change.
                here = round((value - parameter.low) / step)
                to = max(round(k), here + 1) if up else min(round(k), here - 1)
                moved = parameter.low + min(max(to, 0), math.floor((parameter.high - parameter.low) / step + 1e-9)) * step
                return int(moved) if isinstance(parameter, Int) else min(moved, parameter.high)
            case Choice() | Bool() | Fixed():
                return value
