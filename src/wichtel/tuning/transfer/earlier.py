"""Earlier studies, wherever they are kept, for those that start warm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from wichtel.domain import InvalidInput, NotFound, StudySpec, Trial
from wichtel.tuning.results.kept import home_of, kept_studies
from wichtel.tuning.transfer.warmstart import most_similar, transfer

if TYPE_CHECKING:
    from wichtel.store import Transaction

#: Instead of a name: the studies that are most similar.
SIMILAR = "similar"

_MOST = 1_000_000


def warmed(spec: StudySpec, warm_start: str | Sequence[str], store: str | None) -> StudySpec:
    """`spec`, with what earlier studies found best to be evaluated after what is enqueued already.

    Args:
        warm_start: The names of earlier studies, or ``"similar"``.
        store: The database of this study, if it was given one: where they are looked for, too.

    Raises:
        NotFound: there is no study of that name.
        InvalidInput: it is this study's own name.
    """
    names = [warm_start] if isinstance(warm_start, str) else list(warm_start)
    if spec.name in names:
        raise InvalidInput(f"the study {spec.name!r} cannot be started from itself.", where="warm_start", hint="It resumes by its name.")
    if names == [SIMILAR]:
        everyone = _everyone(store)
        chosen = [everyone[s.name] for s in most_similar(spec, [s for s, _ in everyone.values()])]
    else:
        chosen = [_one(name, store) for name in names]
    found = transfer(spec, [(old, _trials(old, url)) for old, url in chosen])
    own = {spec.space.key(config) for config in spec.enqueued}
    new = [t for t in found if spec.space.key(t.config) not in own]
    return replace(
        spec,
        enqueued=(*spec.enqueued, *(t.config for t in new)),
        origins=(*("" for _ in spec.enqueued), *(t.origin for t in new)),
    )


def _one(name: str, store: str | None) -> tuple[StudySpec, str]:
    # In the store that was given first, then among those that are kept by name.
    if store is not None and name in (found := _in_store(store)):
        return found[name]
    home = home_of(name)
    found = _in_store(home.url)
    if name not in found:
        raise NotFound(f"there is no study {name!r}.", where=home.url, hint="It was killed before it began.")
    return found[name]


def _everyone(store: str | None) -> dict[str, tuple[StudySpec, str]]:
    found: dict[str, tuple[StudySpec, str]] = {}
    for name in kept_studies():
        found |= _in_store(home_of(name).url)
    return found | (_in_store(store) if store is not None else {})


def _in_store(url: str) -> dict[str, tuple[StudySpec, str]]:
    """The studies of a database by name, without their trials, which may be many."""
    with _reading(url) as tx:
        return {s.spec.name: (s.spec, url) for s in tx.studies.list(limit=_MOST)}


def _trials(spec: StudySpec, url: str) -> list[Trial]:
    with _reading(url) as tx:
        return tx.trials.of_study(spec.id)


@contextmanager
def _reading(url: str) -> Iterator[Transaction]:
    from wichtel.store import Database

    db = Database.open(url, upgrade=url.startswith("sqlite"))
    try:
        with db.read() as tx:
            yield tx
    finally:
        db.close()
