"""`wichtel tune`: `wt.tune` on a function of yours, on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wichtel.cli.command import Here, command

if TYPE_CHECKING:
    from wichtel.tuning import StudyResult

SPACE = typer.Option(
    help="TOML or JSON: a table for each parameter, such as lr = {kind = 'float', low = 1e-5, high = 0.1}; or of such tables, for a group."
)
FUNCTION = typer.Argument(metavar="MODULE:FUNCTION", help="Called with a configuration; looked for here, too.")
MAXIMIZE = typer.Option(help="A metric to make large; may be given again.")
MINIMIZE = typer.Option(help="A metric to make small; may be given again.")
SEARCHER = typer.Option(help="A name, or one with options: 'hyperband(max_budget=81)'.")
CONSTRAINT = typer.Option("--constraint", help="Such as 'latency <= 0.1'; may be given again.")
TERMINATOR = typer.Option("--terminator", help="Ends the study early: 'target(value=0.9)'; may be given again.")
WARM_START = typer.Option("--warm-start", help="An earlier study to learn from, or 'similar'; may be given again.")
ENQUEUE = typer.Option("--enqueue", metavar="JSON", help="A configuration to evaluate first; may be given again.")
META = typer.Option("--meta", metavar="NAME=NUMBER", help="Describes the data set; may be given again.")
TRACKER = typer.Option("--tracker", help="Mirrors it: 'mlflow(uri=\"sqlite:///mlflow.db\")', 'tensorboard'; may be given again.")
PROGRESS = typer.Option(help="live, bar, lines, json (an event a line on standard output) or quiet.")
REPORT = typer.Option(help="Write the study as one HTML file.")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "tune")(tune)


def tune(
    here: Here,
    function: Annotated[str, FUNCTION],
    space: Annotated[Path, SPACE],
    maximize: Annotated[list[str] | None, MAXIMIZE] = None,
    minimize: Annotated[list[str] | None, MINIMIZE] = None,
    constraint: Annotated[list[str] | None, CONSTRAINT] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials.")] = 100,
    max_seconds: Annotated[float | None, typer.Option(help="The study ends when it has run this long.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="No trial is begun when those so far have cost this much.")] = None,
    cost_metric: Annotated[str, typer.Option(help="The metric that says what a trial cost.")] = "cost",
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    searcher: Annotated[str, SEARCHER] = "auto",
    pruner: Annotated[str | None, typer.Option(help="Stops trials that will not come to anything: median, asha, …")] = None,
    terminator: Annotated[list[str] | None, TERMINATOR] = None,
    folds: Annotated[int, typer.Option(min=1, help="Each trial is evaluated on so many folds.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Each of these with so many seeds.")] = 1,
    confirm: Annotated[int, typer.Option(min=0, help="Evaluate the winner so often again, on held-out data.")] = 0,
    warm_start: Annotated[list[str] | None, WARM_START] = None,
    enqueue: Annotated[list[str] | None, ENQUEUE] = None,
    meta: Annotated[list[str] | None, META] = None,
    model: Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION", help="What the function is given as model.")] = None,
    data: Annotated[str | None, typer.Option(metavar="MODULE:FUNCTION", help="What the function is given as data.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same trials.")] = 0,
    engine: Annotated[str, typer.Option(help="local, or inline for this process.")] = "local",
    gpus: Annotated[float, typer.Option(min=0, help="Graphics processors of one evaluation; with 0.5, two share one.")] = 0.0,
    timeout_seconds: Annotated[float | None, typer.Option(help="Limit on one evaluation.")] = None,
    max_failed_share: Annotated[float, typer.Option(min=0, max=1, help="The study is given up when more of its trials failed.")] = 0.5,
    name: Annotated[str | None, typer.Option(help="Its name; calling again with it goes on where it ended.")] = None,
    store: Annotated[str | None, typer.Option(help="A database to keep it in: sqlite:///path or postgresql://…")] = None,
    tracker: Annotated[list[str] | None, TRACKER] = None,
    progress: Annotated[str | None, PROGRESS] = None,
    report: Annotated[Path | None, REPORT] = None,
) -> None:
    """Search a space for the configuration that is best for a function."""
    import wichtel as wt
    from wichtel.cli.algorithms import algorithm
    from wichtel.domain import InvalidInput

    if here.url is not None:
        raise InvalidInput("this searches on this machine.", where="--url", hint="A service takes studies from POST /v1/studies.")
    # Said before anything is loaded or starts.
    if report is not None:
        from wichtel.tuning.plots.base import plotly

        plotly()
    result = interruptible(
        here,
        name,
        store,
        lambda: wt.tune(
            load(function),
            _space(space),
            maximize=maximize or (),
            minimize=minimize or (),
            constraints=constraint or (),
            trials=trials,
            max_seconds=max_seconds,
            max_cost=max_cost,
            cost_metric=cost_metric,
            workers=here.settings(workers=workers).workers,
            searcher=algorithm(searcher, "--searcher"),
            pruner=None if pruner is None else algorithm(pruner, "--pruner"),
            terminators=[algorithm(text, "--terminator") for text in terminator or ()],
            folds=folds,
            repeats=repeats,
            enqueue=[_configuration(text) for text in enqueue or ()],
            meta=_numbers(meta or []),
            model=None if model is None else load(model),
            data=None if data is None else load(data),
            seed=seed,
            engine=engine,
            gpus=gpus,
            timeout_seconds=timeout_seconds,
            max_failed_share=max_failed_share,
            name=name,
            store=store,
            trackers=[algorithm(text, "--tracker") for text in tracker or ()],
            progress=progress_of(here, progress),
            confirm=confirm,
            warm_start=warm_start,
        ),
    )
    show(here, result, report=report, quiet=progress == "json")


def progress_of(here: Here, progress: str | None) -> str | bool | None:
    """The mode of progress: none beside JSON, unless asked for."""
    return False if progress is None and here.json else progress


def show(here: Here, result: StudyResult, *, report: Path | None = None, quiet: bool = False) -> None:
    """Print what a study found.

    Args:
        report: Write a report there, too.
        quiet: Standard output is not ours: events stand there, of which the last says what was found.
    """
    if report is not None:
        here.out.say(f"Report: {result.report(report)}")
    for warning in result.warnings:
        here.out.say(f"Mind: {warning}")
    if quiet:
        return
    several = len(result.spec.objectives) > 1
    found = {"front": result.front} if several else {"best": result.best}
    fields: list[tuple[str, Any]] = [
        ("study", result.spec.name),
        ("ended", result.reason),
        ("searcher", result.explanation),
        ("trials", ", ".join(f"{n} {word}" for word, n in result.counts().items())),
    ]
    if several:
        fields.append(("front", "\n".join(_line(t.number, t.metrics, t.config) for t in result.front)))
    else:
        best = result.best
        fields += [
            ("best trial", best.number),
            (result.spec.objectives[0].metric, result.best_value),
            ("configuration", "\n".join(f"{parameter} = {value!r}" for parameter, value in best.config.items())),
        ]
    if result.confirmation is not None:
        fields.append(("confirmation", result.confirmation))
    data = {"study": result.study, "trials": len(result.trials), "warnings": result.warnings, "confirmation": result.confirmation}
    here.out.fields({**data, **found}, fields)


def load(place: str) -> Callable[..., Any]:
    """What ``module:function`` names, in the current folder, too.

    Raises:
        InvalidInput: there is none, or its module cannot be imported.
    """
    from importlib import import_module

    from wichtel.domain import InvalidInput, did_you_mean

    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise InvalidInput(f"{place!r} is not MODULE:FUNCTION.", hint="For example train:train for the function train of train.py.")
    # As `python -m` does: what lies in the current folder can be named.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise InvalidInput(f"it cannot be imported: {error}.", where=module_name) from None
    except Exception as error:
        # The user's own code: it may raise anything.
        raise InvalidInput(f"it cannot be imported: {type(error).__name__}: {error}.", where=module_name) from error
    found: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(found):
        functions = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise InvalidInput(f"there is no function {name!r}.", where=module_name, hint=did_you_mean(name, functions))
    return found


def interruptible(here: Here, name: str | None, store: str | None, work: Callable[[], StudyResult]) -> StudyResult:
    """What `work` gives; on ctrl-C, say how to go on.

    Raises:
        typer.Exit: with code 130, on ctrl-C.
    """
    try:
        return work()
    except KeyboardInterrupt:
        at = f" --store {store}" if store else ""
        here.out.say("\nInterrupted." + (f" To go on: wichtel studies resume {name}{at}" if name is not None else ""))
        raise typer.Exit(130) from None


def _line(number: int, metrics: dict[str, float], config: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
    return f"trial {number}: {values} with {', '.join(f'{name} = {value!r}' for name, value in config.items())}"


def _space(path: Path) -> Any:
    import wichtel as wt
    from wichtel.cli.files import read_table
    from wichtel.domain import InvalidInput

    try:
        return wt.Space.from_json(read_table(path))
    except InvalidInput as error:
        raise InvalidInput(error.message, where=f"{path}, {error.where}" if error.where else str(path), hint=error.hint) from None


def _configuration(text: str) -> dict[str, Any]:
    from wichtel.domain import InvalidInput

    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not JSON: {error}.", where="--enqueue") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{text!r} is no table of parameters.", where="--enqueue", hint="""Such as '{"lr": 0.01}'.""")
    return found


def _numbers(given: list[str]) -> dict[str, float]:
    from wichtel.cli.files import assignments
    from wichtel.domain import InvalidInput

    found = assignments(given, "--meta")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"{value!r} is no number.", where=f"--meta {name}")
    return {name: float(value) for name, value in found.items()}
