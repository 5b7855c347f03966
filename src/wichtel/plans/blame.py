"""What a user's code raised, in words that the user can act on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wichtel.domain import PlanError, WichtelError
from wichtel.plans.context import relative


@contextmanager
def users_code(root: Path, *, doing: str) -> Iterator[None]:
    """Turn whatever is raised inside into a `PlanError` that names the line of the plan in `root`.

    Args:
        root: The plan's folder.
        doing: What is being done, such as ``"loading the plan"``.

    Raises:
        PlanError: for any exception, ``sys.exit`` included; errors of Wichtel pass, with the place filled in if they have none.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except WichtelError as error:
        if error.where is None:
            error.where = place_of(error, root)
        raise
    except BaseException as error:
        raise blame(error, root, doing=doing) from error


def blame(error: BaseException, root: Path, *, doing: str) -> PlanError:
    """The `PlanError` for `error`, which code of the plan in `root`, or code that it called, raised."""
    where = place_of(error, root)
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package != error.name and not isinstance(error.__cause__, ModuleNotFoundError) and _is_there(package):
            return PlanError(f"needs the module {error.name}, which the package {package} does not have here.", where=where)
        return PlanError(
            f"needs package {package}, which is not installed here.",
            where=where,
            hint=f"Install it where the workers run; if it is a module of yours, put {package}.py beside plan.py.",
        )
    if isinstance(error, SystemExit):
        return PlanError(f"calls sys.exit({error.code!r}).", where=where, hint="A plan only builds a model; remove the call.")
    if isinstance(error, MemoryError):
        return PlanError(f"ran out of memory while {doing}.", where=where)
    if isinstance(error, SyntaxError):
        return PlanError(f"is not valid Python: {error.msg}.", where=where)
    text = " ".join(str(error).split())
    text = text if len(text) <= 600 else f"{text[:400]} … {text[-180:]}"
    return PlanError(f"{doing} failed: {type(error).__name__}{': ' if text else ''}{text}", where=where)


def place_of(error: BaseException, root: Path) -> str | None:
    """``file:line`` of the innermost frame in `root`, else of where it was raised."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{relative(error.filename, root)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(root)]
    if ours:
        return f"{relative(ours[-1].filename, root)}:{ours[-1].lineno}"
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
