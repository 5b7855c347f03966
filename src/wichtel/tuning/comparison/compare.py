"""Which searcher does better on a problem: the same study under many seeds, in a simulation that costs no more than the function."""

from __future__ import annotations

import inspect
import math
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

from wichtel.domain import Algorithm, Config, InvalidInput, Objective, Parameter, RunState, Space, StudySpec
from wichtel.domain.seed import seed_of
from wichtel.tuning.ports import Problem, Result, Searcher, Suggestion
from wichtel.tuning.registry import make_searcher

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Curves = np.ndarray[Any, np.dtype[np.float64]]

_COLOURS = ("#2a6fbb", "#d1495b", "#2a9d4b", "#edae49", "#7b4ea3", "#35a7a7", "#8a5a44", "#e377c2", "#6c6c6c", "#9aa821")

#: A searcher to compare: its name, with options, or what makes one for a problem.
Contender = str | Algorithm | Callable[[Problem], Searcher]


class Subject(Protocol):
    """What searchers are compared on."""

    name: str
    space: Space
    objective: Objective

    def measure(self, config: Config, seed: int) -> float:
        """The metric as a trial with `seed` measures it; not finite if it fails."""
        ...

    def truth(self, config: Config) -> float:
        """The metric without noise, as far as known."""
        ...

    @property
    def best(self) -> float | None:
        """The best there is, if known."""
        ...

    @property
    def median(self) -> float | None:
        """The median over the space, if known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How searchers did on one problem.

    A study's *incumbent* after some trials is the configuration with the best measured value among them; it counts with its value
    without noise where that is known (on a table), and with the measured one where it is not. The *regret* is the incumbent's distance
    from the best there is, in units of the distance between the best and the median configuration: 0 is perfect, 1 no better than half
    of all configurations. ``±`` is one standard error over the seeds.
    """

    problem: str
    objective: Objective
    trials: int
    parallel: int
    #: Searcher → the incumbent's value after each trial, shape (seeds, trials); NaN before the first trial that did not fail.
    values: Mapping[str, Curves]
    #: The best there is, if known.
    best: float | None = None
    #: The median over the space, if known.
    median: float | None = None

    @property
    def normalised(self) -> bool:
        """Whether the best and the median are known, so that there is a regret."""
        return self.best is not None and self.median is not None and self.best != self.median

    def regret(self, searcher: str) -> Curves:
        """The normalised regret after each trial, shape (seeds, trials).

        Raises:
            InvalidInput: the best and the median are not known.
        """
        if self.best is None or self.median is None or self.best == self.median:
            raise InvalidInput("the best and the median value are not known.", where=f"problem {self.problem!r}")
        return (self.values[searcher] - self.best) / (self.median - self.best)

    def final(self, searcher: str) -> tuple[float, float]:
        """Mean and standard error of the regret after the last trial; of the metric if there is no regret."""
        return _mean(self.regret(searcher)[:, -1] if self.normalised else self.values[searcher][:, -1])

    def ranking(self) -> list[str]:
        """The searchers, best first."""
        sign = 1 if self.normalised else -self.objective.better.sign
        return sorted(self.values, key=lambda name: (math.isnan(self.final(name)[0]), sign * self.final(name)[0]))

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each searcher, seed and trial: the incumbent's value then, and its regret if there is one."""
        import numpy as np
        import pandas as pd

        parts = []
        for name, values in self.values.items():
            seeds, trials = values.shape
            part = {"searcher": name, "seed": np.repeat(np.arange(seeds), trials), "trial": np.tile(np.arange(trials), seeds)}
            part[self.objective.metric] = values.ravel()
            if self.normalised:
                part["regret"] = self.regret(name).ravel()
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def __str__(self) -> str:
        """A table, the best searcher first."""
        what = "regret" if self.normalised else self.objective.metric
        seeds = len(next(iter(self.values.values())))
        width = max(map(len, self.values))
        lines = [f"{self.problem}: {what} after {self.trials} trials, {self.parallel} in parallel, {seeds} seeds"]
        lines += [f"{name:<{width}}  {mean:.4g} ± {se:.2g}" for name in self.ranking() for mean, se in [self.final(name)]]
        return "\n".join(lines)

    def plot(self) -> Any:
        """Mean curves by trial, with a band of one standard error.

        Raises:
            UserError: Plotly is not installed.
        """
        import numpy as np

        from wichtel.tuning.plots.base import finish, plotly

        figure = plotly()[0].Figure()
        steps = np.arange(1, self.trials + 1)
        for i, name in enumerate(self.ranking()):
            curves = self.regret(name) if self.normalised else self.values[name]
            colour = _COLOURS[i % len(_COLOURS)]
            mean = curves.mean(axis=0)
            se = curves.std(axis=0, ddof=1) / math.sqrt(len(curves)) if len(curves) > 1 else np.zeros_like(mean)
            band = {"x": np.concatenate([steps, steps[::-1]]), "y": np.concatenate([mean + se, (mean - se)[::-1]])}
            figure.add_scatter(
                **band,
                fill="toself",
                fillcolor=colour,
                opacity=0.2,
                line={"width": 0},
                hoverinfo="skip",
                legendgroup=name,
                showlegend=False,
            )
            figure.add_scatter(x=steps, y=mean, mode="lines", name=name, legendgroup=name, line={"color": colour})
        axis = "normalised regret" if self.normalised else self.objective.metric
        return finish(figure, f"{self.problem}, {self.parallel} in parallel", xaxis_title="trials", yaxis_title=axis)


def compare_searchers(
    problem: Callable[..., Any] | Subject,
    space: Mapping[str, Parameter] | None = None,
    *,
    searchers: Sequence[str | Algorithm] | Mapping[str, Contender],
    maximize: str | None = None,
    minimize: str | None = None,
    trials: int = 100,
    parallel: int = 8,
    seeds: int = 20,
    processes: int = 1,
) -> Comparison:
    """Search with each of `searchers` under seeds 0, 1, …, in a simulation in which all trials take the same time.

    Trials end in the order in which they began; when one has ended its place is taken by the next, while the others are pending. The
    outcome depends on the arguments only.

    Args:
        problem: A function as `wichtel.tune` takes it, which may ask for `seed` besides its parameters; or a `Table`.
        space: The search space, if `problem` is a function.
        searchers: Their names, or algorithms with options; or, by the names to show them under, also what makes a searcher for a `Problem`.
        maximize: The metric to make large, if `problem` is a function.
        minimize: The metric to make small. One of the two.
        trials: Of each study.
        parallel: Trials at once.
        seeds: How often each searcher searches.
        processes: Processes of this machine that share the work.

    Raises:
        InvalidInput: an unknown searcher, a searcher twice, or neither or both of `maximize` and `minimize`. What the function raises comes
            through as it is.

    >>> from wichtel.domain import Float
    >>> compared = compare_searchers(
    ...     lambda x: (x - 1) ** 2, {"x": Float(-5, 5)}, searchers=["random", "grid"], minimize="loss", trials=9, seeds=3
    ... )
    >>> compared.values["random"].shape
    (3, 9)
    """
    subject = _subject(problem, space, maximize, minimize)
    return compare_on([subject], searchers=searchers, trials=trials, parallel=parallel, seeds=seeds, processes=processes)[0]


def compare_on(
    subjects: Sequence[Subject],
    *,
    searchers: Sequence[str | Algorithm] | Mapping[str, Contender],
    trials: int = 100,
    parallel: int = 8,
    seeds: int = 20,
    processes: int = 1,
    on_count: Callable[[int], None] = lambda _: None,
    on_study: Callable[[], None] = lambda: None,
) -> list[Comparison]:
    """`compare_searchers` on several problems at once, such as tables. A searcher that takes some of their spaces is left out at others.

    Args:
        on_count: Told how many studies there will be.
        on_study: Called whenever one has ended.

    Raises:
        InvalidInput: see `compare_searchers`.
    """
    import numpy as np

    contenders = _contenders(searchers)
    for count, what in ((trials, "trials"), (parallel, "parallel"), (seeds, "seeds"), (processes, "processes")):
        if count < 1:
            raise InvalidInput(f"{what} is {count}, but must be at least 1.", where="compare_searchers")
    fitting = [_fitting(subject, contenders, trials, parallel) for subject in subjects]
    for name, contender in contenders.items():
        if not any(name in names for names in fitting):
            # Once more, for what it says.
            _searcher(contender, _problem(subjects[0], 0, trials, parallel))
    tasks = [
        _Task(subject, contenders[name], seed, trials, parallel)
        for subject, names in zip(subjects, fitting, strict=True)
        for name in names
        for seed in range(seeds)
    ]
    on_count(len(tasks))
    curves: dict[int, list[float]] = {}
    for i, curve in _carry_out(tasks, processes):
        curves[i] = curve
        on_study()
    ordered = iter(curves[i] for i in range(len(tasks)))
    return [
        Comparison(
            problem=subject.name,
            objective=subject.objective,
            trials=trials,
            parallel=parallel,
            values={name: np.array([next(ordered) for _ in range(seeds)]) for name in names},
            best=subject.best,
            median=subject.median,
        )
        for subject, names in zip(subjects, fitting, strict=True)
    ]


def average_regret(comparisons: Iterable[Comparison], searcher: str) -> tuple[float, float]:
    """The mean of the final regret over the problems that `searcher` took, with its standard error over the seeds (not over problems)."""
    finals = [c.final(searcher) for c in comparisons if searcher in c.values]
    return sum(mean for mean, _ in finals) / len(finals), math.sqrt(sum(error**2 for _, error in finals)) / len(finals)


@dataclass(frozen=True, slots=True)
class _Task:
    subject: Subject
    contender: Contender
    seed: int
    trials: int
    parallel: int

    def __call__(self) -> list[float]:
        """The incumbent's value after each trial."""
        subject, objective = self.subject, self.subject.objective
        searcher = _searcher(self.contender, _problem(subject, self.seed, self.trials, self.parallel))
        begun: list[Suggestion] = []
        incumbent, value = math.inf, math.nan
        curve: list[float] = []
        while len(curve) < self.trials:
            free = min(self.parallel - (len(begun) - len(curve)), self.trials - len(begun))
            begun += searcher.sample(free) if free else []
            if len(begun) == len(curve):
                # The space is exhausted.
                return curve + [value] * (self.trials - len(curve))
            number = len(curve)
            suggestion = begun[number]
            if suggestion.budget is not None:
                raise InvalidInput("it gives trials budgets, and here they have none.", where=f"searcher {self.contender!r}")
            measured = subject.measure(suggestion.config, seed_of(self.seed, number, "measure"))
            failed = not math.isfinite(measured)
            if not failed and objective.loss(measured) < incumbent:
                incumbent, value = objective.loss(measured), subject.truth(suggestion.config)
            curve.append(value)
            result = Result(
                number=number,
                config=suggestion.config,
                state=RunState.FAILED if failed else RunState.SUCCEEDED,
                losses=() if failed else (objective.loss(measured),),
                memory=suggestion.state,
            )
            searcher.update([result])
        return curve


class _FunctionSubject:
    """A function of the user's. What it measured is all that is known."""

    best = None
    median = None

    def __init__(self, function: Callable[..., Any], space: Space, objective: Objective) -> None:
        self.name = getattr(function, "__name__", repr(function))
        self.space = space
        self.objective = objective
        self._function = function
        takes = inspect.signature(function).parameters
        self._seeded = "seed" in takes and "seed" not in space
        self._last: tuple[Config, float] = ({}, math.nan)

    def measure(self, config: Config, seed: int) -> float:
        returned = self._function(**config, **({"seed": seed} if self._seeded else {}))
        if isinstance(returned, Mapping):
            if self.objective.metric not in returned:
                raise InvalidInput(f"it returned no {self.objective.metric!r}.", where=f"function {self.name!r}")
            returned = returned[self.objective.metric]
        self._last = (config, float(returned))
        return self._last[1]

    def truth(self, config: Config) -> float:
        # Asked only right after it was measured.
        return self._last[1]


def _subject(
    problem: Callable[..., Any] | Subject, space: Mapping[str, Parameter] | None, maximize: str | None, minimize: str | None
) -> Subject:
    if not callable(problem):
        return problem
    if space is None:
        raise InvalidInput("a function needs a search space.", where="compare_searchers")
    if (maximize is None) == (minimize is None):
        raise InvalidInput("give the metric as either maximize or minimize.", where="compare_searchers")
    objective = Objective(metric=maximize or minimize or "", better="larger" if maximize else "smaller")  # type: ignore[arg-type]
    return _FunctionSubject(problem, Space(space), objective)


def _contenders(searchers: Sequence[str | Algorithm] | Mapping[str, Contender]) -> dict[str, Contender]:
    if isinstance(searchers, str):
        raise InvalidInput("the searchers must be a list.", where="compare_searchers")
    if isinstance(searchers, Mapping):
        named = dict(searchers)
    else:
        named = {_label(s): s for s in searchers}
        if len(named) < len(searchers):
            raise InvalidInput("a searcher stands there twice.", where="compare_searchers", hint="Give them names: {name: searcher}.")
    if not named:
        raise InvalidInput("there is no searcher to compare.", where="compare_searchers")
    return named


def _label(searcher: str | Algorithm) -> str:
    if isinstance(searcher, str):
        return searcher
    options = ", ".join(f"{name}={value}" for name, value in searcher.options.items())
    return f"{searcher.name}({options})" if options else searcher.name


def _problem(subject: Subject, seed: int, trials: int, parallel: int) -> Problem:
    name = "comparison"
    return Problem.of(
        StudySpec(
            id=name, name=name, entry=name, space=subject.space, objectives=(subject.objective,), trials=trials, workers=parallel, seed=seed
        )
    )


def _searcher(contender: Contender, problem: Problem) -> Searcher:
    if isinstance(contender, str):
        contender = Algorithm(name=contender)
    return make_searcher(contender, problem) if isinstance(contender, Algorithm) else contender(problem)


def _fitting(subject: Subject, contenders: Mapping[str, Contender], trials: int, parallel: int) -> list[str]:
    """Those that take its space."""
    problem = _problem(subject, 0, trials, parallel)
    names = []
    for name, contender in contenders.items():
        try:
            _searcher(contender, problem)
        except InvalidInput:
            continue
        names.append(name)
    return names


def _carry_out(tasks: Sequence[_Task], processes: int) -> Iterator[tuple[int, list[float]]]:
    """The position and outcome of each task, as they come."""
    if processes == 1:
        for i, task in enumerate(tasks):
            yield i, task()
        return
    import cloudpickle

    # Not forked: other threads of this process may hold locks.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        waiting = {pool.submit(_call, cloudpickle.dumps(task)): i for i, task in enumerate(tasks)}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    # The processes already share the cores; numpy is loaded after this.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _call(code: bytes) -> list[float]:
    task: _Task = pickle.loads(code)  # noqa: S301 written by the process that made this one
    return task()


def _mean(numbers: Curves) -> tuple[float, float]:
    error = float(numbers.std(ddof=1)) / math.sqrt(len(numbers)) if len(numbers) > 1 else math.nan
    return float(numbers.mean()), error
