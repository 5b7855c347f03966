"""What every searcher must do. Copy `tests/tuning/test_searchers.py` to face your own with it.

``check_all(factory)`` runs everything; each check stands for itself, too. `factory` is called with a `Problem`; `registered()` lists the
factories of all that are installed, yours included once its entry point is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from wichtel.domain import Algorithm, Bool, Choice, Config, Expectation, Fixed, Float, Int, Objective, RunState, Space, StudySpec
from wichtel.tuning.ports import Problem, Result, Searcher
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


def registered() -> dict[str, Factory]:
    """Each installed searcher's name and factory."""

    def factory(name: str) -> Factory:
        return lambda problem: make_searcher(Algorithm(name=name), problem)

    return {name: factory(name) for name in searcher_names()}


def problem(space: Space, seed: int = 0) -> Problem:
    """A problem with one objective, ``score``, which grows."""
    objective = Objective(metric="score", better=Expectation.LARGER)
    return Problem.of(StudySpec(id="s", name="s", space=space, objectives=(objective,), entry="m:f", seed=seed))


class Simulation:
    """A study in miniature: `workers` trials run at once and end in an order drawn from `seed`. Keeps the log."""

    def __init__(self, searcher: Searcher, space: Space, *, workers: int = 3, seed: int = 0) -> None:
        self.searcher = searcher
        self.space = space
        self.workers = workers
        self.configs: list[Config] = []
        #: What was told to the searcher, and between it the numbers of trials it suggested.
        self.log: list[Result | int] = []
        self.exhausted = False
        self._random = Random(seed)
        self._states: dict[int, dict[str, object]] = {}
        self._running: list[int] = []

    def run(self, trials: int) -> None:
        """Go on until there are `trials` or the searcher has no more."""
        while len(self.configs) < trials and not self.exhausted:
            while len(self._running) < self.workers and len(self.configs) < trials:
                suggestions = self.searcher.sample(1)
                if not suggestions:
                    self.exhausted = not self._running
                    break
                number = len(self.configs)
                self.configs.append(suggestions[0].config)
                self._states[number] = suggestions[0].state
                self._running.append(number)
                self.log.append(number)
            if self._running:
                self._end(self._running.pop(self._random.randrange(len(self._running))))

    def begun(self, number: int) -> Result:
        """The news that a trial has begun, as a resumed searcher hears it."""
        return Result(number=number, config=self.configs[number], state=RunState.RUNNING, memory=self._states[number])

    def _end(self, number: int) -> None:
        config, fate = self.configs[number], self._random.random()
        loss = sum(float(v) ** 2 for v in config.values() if isinstance(v, int | float))
        state, losses = RunState.SUCCEEDED, [loss]
        if fate < 0.1:
            state, losses = RunState.FAILED, []
        elif fate < 0.2:
            state = RunState.STOPPED
        elif fate < 0.25:
            state, losses = RunState.CANCELED, []
        step = 3 if losses else None
        result = Result(number=number, config=config, state=state, losses=tuple(losses), step=step, memory=self._states[number])
        self.searcher.update([result])
        self.log.append(result)


def check_legal(factory: Factory) -> None:
    """Bounds, steps and conditions are respected, in every space that the searcher takes."""
    for name, space in SPACES.items():
        simulation = Simulation(factory(problem(space)), space)
        simulation.run(40)
        assert simulation.configs, f"nothing was suggested for {name}"
        for config in simulation.configs:
            space.check(config)


def check_no_duplicates(factory: Factory) -> None:
    """No configuration comes twice, and a small space is searched to its end."""
    for space in SPACES.values():
        simulation = Simulation(factory(problem(space)), space)
        simulation.run(40)
        keys = [space.key(c) for c in simulation.configs]
        assert len(set(keys)) == len(keys), "a configuration came twice"
    assert simulation.exhausted, "a finite space was not searched to its end"
    assert len(keys) == FINITE_SIZE


def check_replay(factory: Factory) -> None:
    """A searcher that is told the log of another goes on as that one does."""
    for space in SPACES.values():
        for cut in (0, 3, 14, 25):
            original = Simulation(factory(problem(space, seed=7)), space)
            original.run(cut)
            resumed = factory(problem(space, seed=7))
            for entry in original.log:
                resumed.update([original.begun(entry) if isinstance(entry, int) else entry])
            expected = original.searcher.sample(4)
            assert resumed.sample(4) == expected, f"after {cut} trials a resumed searcher went another way"


def check_seeded(factory: Factory) -> None:
    """The same seed gives the same, and (but for a searcher that draws nothing) another seed gives something else."""
    for space in SPACES.values():
        first, second = (Simulation(factory(problem(space, seed=3)), space) for _ in range(2))
        first.run(20)
        second.run(20)
        assert first.configs == second.configs


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


def check_all(factory: Factory) -> None:
    """All of the above."""
    for check in CHECKS:
        check(factory)


CHECKS = (check_legal, check_no_duplicates, check_replay, check_seeded, check_foreign)
