"""`wichtel tune`: `wt.tune` on a function of yours, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "tune")(tune)


def tune(
    here: Here,
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="Called with a configuration; looked for here, too.")],
    space: Annotated[
        Path, typer.Option(help="TOML or JSON: a table for each parameter, such as lr = {kind = 'float', low = 1e-5, high = 0.1}.")
    ],
    maximize: Annotated[str | None, typer.Option(help="The metric to make large.")] = None,
    minimize: Annotated[str | None, typer.Option(help="The metric to make small.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials.")] = 100,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    searcher: Annotated[str, typer.Option(help="tpe, random, grid, cmaes.")] = "tpe",
    pruner: Annotated[str | None, typer.Option(help="median, asha.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same trials.")] = 0,
    name: Annotated[str | None, typer.Option(help="Its name; calling again with it goes on where it ended.")] = None,
) -> None:
    """Search a space for the configuration that is best for a function."""
    import wichtel as wt
    from wichtel.cli.files import read_table
    from wichtel.domain import InvalidInput

    if here.url is not None:
        raise InvalidInput("this searches on this machine.", where="--url", hint="A service takes studies from POST /v1/studies.")
    try:
        parameters = wt.Space.from_json(read_table(space))
    except InvalidInput as error:
        raise InvalidInput(error.message, where=f"{space}, {error.where}" if error.where else str(space), hint=error.hint) from None
    result = wt.tune(
        _load(function),
        parameters,
        maximize=maximize,
        minimize=minimize,
        trials=trials,
        workers=here.settings(workers=workers).workers,
        searcher=searcher,
        pruner=pruner,
        seed=seed,
        name=name,
        progress=False if here.json else None,
    )
    best = result.best
    here.out.fields(
        {"study": result.study, "best": best, "trials": len(result.trials)},
        [
            ("study", name),
            ("ended", result.reason),
            ("trials", len(result.trials)),
            ("best trial", best.number),
            (result.study.spec.objectives[0].metric, result.best_value),
            ("configuration", "\n".join(f"{parameter} = {value!r}" for parameter, value in best.config.items())),
        ],
    )


def _load(place: str) -> Callable[..., Any]:
    from importlib import import_module

    from wichtel.domain import InvalidInput, did_you_mean

    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise InvalidInput(f"{place!r} is not MODULE:FUNCTION.", hint="For example train:train for the function train of train.py.")
    # As `python -m` does: what lies in the current folder can be named.
    sys.path.insert(0, str(Path.cwd()))
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
