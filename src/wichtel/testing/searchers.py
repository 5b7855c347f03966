"""What every searcher must do. Copy `tests/tuning/test_searchers.py` to face your own with it.

``check_all(factory)`` runs everything; each check stands for itself, too. `factory` is called with a `Problem`; `registered()` lists the
factories of all that are installed, yours included once its entry point is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from random import Random

from wichtel.domain import (
    Algorithm,
    Bool,
    Choice,
    Config,
    Expectation,
    Fixed,
    Float,
    Int,
    InvalidInput,
    MetricBound,
    Objective,
    RunState,
    Space,
    StudySpec,
)
from wichtel.tuning.ports import Problem, Result, Searcher, Suggestion
from wichtel.tuning.registry import make_searcher, searcher_names

Factory = Callable[[Problem], Searcher]

SPACES = {
    "floats": Space({"x": Float(-1.0, 2.0), "lr": Float(1e-6, 1e-1, log=True), "drop": Float(0.0, 0.9, step=0.1)}),
    "mixed": Space(
        {"width": Int(3, 30, step=3), "layers": Int(1, 1000, log=True), "act": Choice(["relu", "tanh", None, 1, True]), "bias": Bool()}
    ),
    "conditional": Space(
        {
            "momentum": Float(0.0, 1.0, when={"optimizer": ["sgd"]}),
            "optimizer": Choice(["sgd", "adam"]),
            "nesterov": Bool(when={"optimizer": ["sgd"]}),
            "decay": Float(0.1, 0.2, when={"nesterov": [True]}),
            "x": Float(0.0, 1.0),
            "version": Fixed(3),
        }
    ),
    "finite": Space({"n": Int(1, 3), "flag": Bool(), "deep": Int(0, 1, when={"flag": [True]})}),
}
FINITE_SIZE = 9
#: Objectives and constraints of problems that a searcher may refuse, but must not stumble over.
HARDER = ((1, 2), (2, 0), (3, 1))


def registered() -> dict[str, Factory]:
    """Each installed searcher's name and factory."""

    def factory(name: str) -> Factory:
        return lambda problem: make_searcher(Algorithm(name=name), problem)

    return {name: factory(name) for name in searcher_names()}


def problem(space: Space, seed: int = 0, *, objectives: int = 1, constraints: int = 0, workers: int = 3, trials: int = 100) -> Problem:
    """A problem whose objectives, ``score``, ``score1``…, all grow."""
    names = ["score", *(f"score{i}" for i in range(1, objectives))]
    return Problem.of(
        StudySpec(
            id="s",
            name="s",
            space=space,
            objectives=tuple(Objective(metric=name, better=Expectation.LARGER) for name in names),
            constraints=tuple(MetricBound(metric=f"c{i}", high=0.0) for i in range(constraints)),
            entry="m:f",
            workers=workers,
            trials=trials,
            seed=seed,
        )
    )


class Simulation:
    """A study in miniature: `workers` trials run at once and end in an order drawn from `seed`. Keeps the log.

    Losses are sums of squares of the numbers in a configuration, and fall with its budget; one trial in ten fails, one in ten is stopped.
    """

    def __init__(
        self, searcher: Searcher, space: Space, *, workers: int = 3, seed: int = 0, objectives: int = 1, constraints: int = 0
    ) -> None:
        self.searcher = searcher
        self.space = space
        self.workers = workers
        self.suggestions: list[Suggestion] = []
        #: What was told to the searcher, and between it the numbers of trials it suggested.
        self.log: list[Result | int] = []
        #: The results of ended trials.
        self.ended: dict[int, Result] = {}
        self.exhausted = False
        self._objectives = objectives
        self._constraints = constraints
        self._random = Random(seed)
        self._running: list[int] = []

    @property
    def configs(self) -> list[Config]:
        """What was suggested, by trial number."""
        return [s.config for s in self.suggestions]

    def run(self, trials: int) -> None:
        """Go on until there are `trials` or the searcher has no more."""
        while len(self.suggestions) < trials and not self.exhausted:
            while len(self._running) < self.workers and len(self.suggestions) < trials:
                suggestions = self.searcher.sample(1)
                if not suggestions:
                    self.exhausted = not self._running
                    break
                self._begin(*suggestions)
            if self._running:
                self._end(self._running.pop(self._random.randrange(len(self._running))))

    def news(self, until: int | None = None) -> Iterator[Result]:
        """What happened, up to a position in the log, as a resumed searcher hears it."""
        for entry in self.log[:until]:
            yield self.begun(entry) if isinstance(entry, int) else entry

    def begun(self, number: int) -> Result:
        """The news that a trial has begun, as a resumed searcher hears it."""
        s = self.suggestions[number]
        return Result(number=number, config=s.config, state=RunState.RUNNING, budget=s.budget, parent=s.parent, memory=s.state)

    def _begin(self, suggestion: Suggestion) -> None:
        if suggestion.budget is not None:
            assert math.isfinite(suggestion.budget), f"budget {suggestion.budget} is not finite"
            assert suggestion.budget > 0, f"budget {suggestion.budget} is not positive"
        if suggestion.parent is not None:
            assert getattr(self.searcher, "promotes", False), "a suggestion has a parent, but the class does not say promotes = True"
            parent = self.ended.get(suggestion.parent)
            assert parent is not None, f"parent {suggestion.parent} has not ended"
            assert parent.state in (RunState.SUCCEEDED, RunState.STOPPED), (
                f"parent {suggestion.parent} {parent.state}: no checkpoint to go on"
            )
        kept = json.loads(json.dumps(suggestion.state, allow_nan=False))
        assert kept == suggestion.state, f"the state {suggestion.state} is not plain JSON"
        number = len(self.suggestions)
        self.suggestions.append(suggestion)
        self._running.append(number)
        self.log.append(number)

    def _end(self, number: int) -> None:
        suggestion, fate = self.suggestions[number], self._random.random()
        numbers = [float(v) for v in suggestion.config.values() if isinstance(v, int | float)]
        unfinished = 1 / (suggestion.budget or 1.0)
        losses = [sum((v - i) ** 2 for v in numbers) + unfinished for i in range(self._objectives)]
        violations = [max(0.0, sum(numbers) - 2.0 - i) for i in range(self._constraints)]
        state = RunState.SUCCEEDED
        if fate < 0.1:
            state, losses, violations = RunState.FAILED, [], []
        elif fate < 0.2:
            state = RunState.STOPPED
            # It was stopped before it measured what the constraints are on.
            violations = [math.inf] * self._constraints
        elif fate < 0.25:
            state, losses, violations = RunState.CANCELED, [], []
        result = Result(
            number=number,
            config=suggestion.config,
            state=state,
            losses=tuple(losses),
            violations=tuple(violations),
            step=3 if losses else None,
            budget=suggestion.budget,
            parent=suggestion.parent,
            memory=suggestion.state,
        )
        self.ended[number] = result
        self.searcher.update([result])
        self.log.append(result)


def check_legal(factory: Factory) -> None:
    """Bounds, steps and conditions are respected, in every space."""
    for name, space in SPACES.items():
        simulation = Simulation(factory(problem(space)), space)
        simulation.run(25)
        assert simulation.configs, f"nothing was suggested for {name}"
        for config in simulation.configs:
            space.check(config)


def check_no_duplicates(factory: Factory) -> None:
    """No configuration comes twice, unless with another budget or from another parent; a small space is searched to its end."""
    for space in SPACES.values():
        simulation = Simulation(factory(problem(space)), space)
        simulation.run(40)
        _check_distinct(simulation)
    if all(s.parent is None and s.budget is None for s in simulation.suggestions):
        assert simulation.exhausted, "a finite space was not searched to its end"
        assert len(simulation.configs) == FINITE_SIZE


def _check_distinct(simulation: Simulation) -> None:
    keys = [(simulation.space.key(s.config), s.budget, s.parent) for s in simulation.suggestions]
    assert len(set(keys)) == len(keys), "a configuration came twice, with the same budget and parent"


def check_replay(factory: Factory) -> None:
    """A searcher that is told the log of another goes on as that one did."""
    for space in SPACES.values():
        simulation = Simulation(factory(problem(space, seed=7)), space)
        simulation.run(26)
        for number in (0, 3, 14, 25):
            _check_goes_on(simulation, factory(problem(space, seed=7)), number)


def _check_goes_on(simulation: Simulation, resumed: Searcher, number: int) -> None:
    """`resumed` suggests trial `number` as the searcher of `simulation` did."""
    if number < len(simulation.suggestions):
        at = simulation.log.index(number)
        for result in simulation.news(at):
            resumed.update([result])
        # What they keep may be written in more than one way.
        found = [(s.config, s.budget, s.parent) for s in resumed.sample(1)]
        given = simulation.suggestions[number]
        assert found == [(given.config, given.budget, given.parent)], f"after {number} trials a resumed searcher went another way"


def check_seeded(factory: Factory) -> None:
    """The same seed gives the same."""
    for space in SPACES.values():
        first, second = (Simulation(factory(problem(space, seed=3)), space) for _ in range(2))
        first.run(15)
        second.run(15)
        assert first.suggestions == second.suggestions


def check_batches(factory: Factory) -> None:
    """Several at a time are the same as one after another, and never more than were asked for."""
    for space in SPACES.values():
        first, second = (factory(problem(space, seed=5)) for _ in range(2))
        assert first.sample(0) == []
        several = first.sample(4)
        assert len(several) <= 4, "more was suggested than was asked for"
        assert several == [s for _ in range(4) for s in second.sample(1)]


def check_foreign(factory: Factory) -> None:
    """The user's own configurations, stale news and news told twice do no harm."""
    space = SPACES["conditional"]
    searcher = factory(problem(space))
    own = space.sample(Random(1))
    begun = Result(number=0, config=own, state=RunState.RUNNING)
    ended = Result(number=0, config=own, state=RunState.SUCCEEDED, losses=(1.0,))
    searcher.update([begun, begun])
    first = searcher.sample(2)
    searcher.update([ended, ended, begun])
    assert all(space.key(s.config) != space.key(own) for s in first + searcher.sample(5))


def check_oblivious(factory: Factory) -> None:
    """One that says ``learns = False`` suggests the same whatever it hears."""
    for space in SPACES.values():
        deaf, hearing = (factory(problem(space, seed=2)) for _ in range(2))
        if getattr(deaf, "learns", True):
            return
        simulation = Simulation(hearing, space)
        simulation.run(12)
        assert deaf.sample(12) == simulation.suggestions, "it says that it does not learn, but does"


def check_explanation(factory: Factory) -> None:
    """If it explains itself, then in words, from the beginning and later."""
    space = SPACES["mixed"]
    simulation = Simulation(factory(problem(space)), space)
    for trials in (0, 20):
        simulation.run(trials)
        said = getattr(simulation.searcher, "explanation", None)
        if said is not None:
            assert isinstance(said, str)
            assert len(said.split()) >= 3, f"{said!r} explains nothing"


def check_harder(factory: Factory) -> None:
    """Several objectives and constraints are taken with all of the above, or refused at once with a hint."""
    for (objectives, constraints), name in zip(HARDER, ("mixed", "conditional", "conditional"), strict=True):
        space = SPACES[name]
        posed = problem(space, seed=11, objectives=objectives, constraints=constraints)
        searcher, refusal = _try(factory, posed)
        if searcher is None:
            assert refusal, f"{objectives} objectives and {constraints} constraints are refused without a hint"
            continue
        simulation = Simulation(searcher, space, objectives=objectives, constraints=constraints)
        simulation.run(25)
        for config in simulation.configs:
            space.check(config)
        _check_distinct(simulation)
        _check_goes_on(simulation, factory(posed), 20)


def _try(factory: Factory, posed: Problem) -> tuple[Searcher | None, str]:
    try:
        return factory(posed), ""
    except InvalidInput as refusal:
        return None, refusal.hint or ""


def check_all(factory: Factory) -> None:
    """All of the above."""
    for check in CHECKS:
        check(factory)


CHECKS = (
    check_legal,
    check_no_duplicates,
    check_replay,
    check_seeded,
    check_batches,
    check_foreign,
    check_oblivious,
    check_explanation,
    check_harder,
)
