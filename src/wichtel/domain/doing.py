"""What this thread or task is doing, in words: for logs, and for whoever watches beginnings and ends, such as a tracer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol


class Watcher(Protocol):
    """Hears of everything that is done."""

    def doing(self, what: str, words: Mapping[str, str], carrier: Mapping[str, str]) -> AbstractContextManager[Any]:
        """Entered when it begins, left when it ends; `words` may have grown by then. `carrier` says of what elsewhere it is a part."""

    def done(self, what: str, began: datetime, ended: datetime, words: Mapping[str, str]) -> None:
        """Told of what was done elsewhere. Times are aware, UTC."""


class _Nobody:
    def doing(self, what: str, words: Mapping[str, str], carrier: Mapping[str, str]) -> AbstractContextManager[Any]:
        return nullcontext()

    def done(self, what: str, began: datetime, ended: datetime, words: Mapping[str, str]) -> None:
        pass


_words: ContextVar[dict[str, str] | None] = ContextVar("wichtel_doing", default=None)
#: The last one hears.
_watchers: list[Watcher] = [_Nobody()]


def watch(watcher: Watcher | None) -> Callable[[], None]:
    """Have `watcher` hear of everything from now on, and nobody else; None for nobody. Returns what ends that."""
    mine = watcher or _Nobody()
    _watchers.append(mine)
    return lambda: _watchers.remove(mine)


@contextmanager
def doing(what: str, carrier: Mapping[str, str] | None = None, /, **words: str) -> Iterator[dict[str, str]]:
    """Say what is done until the end of the block; what is logged in it has these words, and those of the blocks around it.

    >>> with doing("step train", workflow="e-1/1"):
    ...     note(run="r-1")
    ...     said()
    {'workflow': 'e-1/1', 'run': 'r-1'}

    Args:
        what: A few words, the same for all of a kind.
        carrier: Headers that say of what elsewhere it is a part.
        words: Names and ids.
    """
    with naming(**words) as mine, _watchers[-1].doing(what, mine, carrier or {}):
        yield mine


@contextmanager
def naming(**words: str) -> Iterator[dict[str, str]]:
    """As `doing`, for the log alone: of what is done so often that nobody wants to watch each."""
    mine = {**(_words.get() or {}), **words}
    before = _words.set(mine)
    try:
        yield mine
    finally:
        _words.reset(before)


def note(**words: str) -> None:
    """Add words to the innermost block, also from a thread that it handed work to."""
    mine = _words.get()
    if mine is not None:
        mine.update(words)


def said() -> Mapping[str, str]:
    """The words of the blocks that this is in."""
    return _words.get() or {}


def done(what: str, began: datetime, ended: datetime, /, **words: str) -> None:
    """Tell of what was done elsewhere, or is only told of at its end."""
    _watchers[-1].done(what, began, ended, words)
