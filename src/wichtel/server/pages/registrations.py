"""What was asked for: registrations, and how the experiments of each stand, models by protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Experiment, Outline, Registration, SubjectKind, Tally
from wichtel.domain.query import equals
from wichtel.server.pages.formats import count
from wichtel.server.pages.reader import PageReader, Reader, page_router

router = page_router("/registrations")

_ON_A_PAGE = 25
#: Of the matrix, which the page draws at once.
_MOST_CELLS, _MOST_LINES = 1_000, 50
#: With more columns a cell has a picture only.
_WIDE = 6
#: What is told of those that matter most.
_FEW = 5
#: Status or state → how it is said of several, in the order of the sentence.
_SAID = {
    "SATISFIED": "satisfied",
    "UNSATISFIED": "not satisfied",
    "USER_ERROR": "ended with a user error",
    "SYSTEM_ERROR": "ended with a system error",
    "DEADLINE_EXCEEDED": "not done in time",
    "CANCELED": "canceled",
    "IN_PROGRESS": "in progress",
    "ENQUEUED": "waiting",
}


@dataclass(frozen=True, slots=True)
class Head:
    """A model or a protocol at the edge of the matrix."""

    name: str
    #: Of a protocol: what its user set, such as ``width=64``.
    settings: str = ""
    intent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Some lines of models × protocols. The longer side goes down."""

    columns: tuple[Head, ...]
    #: A head, and what stands in each column; None for an experiment that is gone.
    lines: tuple[tuple[Head, tuple[Outline | None, ...]], ...]
    models_down: bool
    #: Number of the first line, and of all lines.
    first: int
    all: int

    @property
    def small(self) -> bool:
        """Whether there is no room for words."""
        return len(self.columns) > _WIDE


@router.get("")
def registrations(
    reader: Reader,
    owner: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    """The page, or for htmx its list."""
    # Before anything is asked for: what happens meanwhile is then told twice rather than never.
    latest = reader.latest_event()
    page = reader.app.experiments.registrations(owner.strip() or None, _ON_A_PAGE, cursor or None)
    tallies = reader.app.experiments.tallies([r.id for r in page.items])
    me = reader.principal.name
    return reader.show(
        "parts/registrations.html" if reader.partial else "registrations.html",
        title="Registrations",
        page=page,
        tallies=tallies,
        sentences={identity: sentence(tally) for identity, tally in tallies.items()},
        unfinished=any(tally.unfinished for tally in tallies.values()),
        views=(("All", "/registrations"), ("Mine", f"/registrations?{urlencode({'owner': me})}")),
        owner=owner.strip(),
        cursor=cursor,
        address=_list_address(owner.strip(), cursor),
        following=_list_address(owner.strip(), page.cursor) if page.cursor else "",
        latest=latest,
    )


@router.get("/{registration}")
def registration(reader: Reader, registration: str, line: Annotated[int, Query(ge=1, le=10_000)] = 1) -> Response:
    """The page, or for htmx all of it but what stands around."""
    latest = reader.latest_event()
    app = reader.app
    r = app.experiments.get_registration(registration)
    tally = app.experiments.tallies([registration])[registration]
    matrix, example = _matrix(reader, r, line)
    mine = str(equals("registration", r.id))
    address = f"/registrations/{quote(r.id, safe='')}"
    return reader.show(
        "parts/registration.html" if reader.partial else "registration.html",
        title=f"{_title(r)} · {r.id}",
        r=r,
        name=_title(r),
        tally=tally,
        sentence=sentence(tally),
        matrix=matrix,
        size=len(matrix.lines),
        satisfied=app.experiments.search(f"{mine} status:SATISFIED", limit=_FEW).items if tally.counts.get("SATISFIED") else (),
        failed=app.experiments.search(f"{mine} status:*_ERROR,DEADLINE_EXCEEDED", limit=_FEW).items if _failures(tally) else (),
        failures=_failures(tally),
        mine=mine,
        repeats=example.config.rerun_of if example is not None else "",
        cancel_not=_cancel_not(reader, r, tally),
        watched=any((w.kind, w.subject) == (SubjectKind.REGISTRATION, r.id) for w in app.channels.watches(reader.principal)),
        watch_not=reader.why_not("watch"),
        address=address,
        here=address if line == 1 else f"{address}?line={line}",
        latest=latest,
    )


@router.post("/{registration}/cancel")
def cancel(reader: Reader, registration: str) -> Response:
    """End all of it that has not finished."""
    reader.app.experiments.cancel_registration(registration, reader.principal)
    return reader.go(f"/registrations/{quote(registration, safe='')}")


@router.post("/{registration}/watch")
def watch(reader: Reader, registration: str) -> Response:
    """Be told of what becomes of it, or no longer."""
    channels = reader.app.channels
    change = channels.unwatch if reader.form.one("stop") else channels.watch
    change(SubjectKind.REGISTRATION, registration, reader.principal)
    return reader.go(f"/registrations/{quote(registration, safe='')}")


def sentence(tally: Tally) -> str:
    """How a registration stands, in a sentence."""
    parts = [f"{tally.counts[name]:,} {said}" for name, said in _SAID.items() if tally.counts.get(name)]
    if not parts:
        return "None of its experiments is kept."
    if len(parts) == 1:
        # "All 5 are satisfied", "It is waiting".
        only = next(said for name, said in _SAID.items() if tally.counts.get(name))
        verb = "" if only.startswith("ended") else ("are " if tally.total > 1 else "is ")
        return f"All {tally.total:,} {verb}{only}." if tally.total > 1 else f"It {verb}{only}."
    return f"Of {tally.total:,}, {', '.join(parts[:-1])} and {parts[-1]}."


def _failures(tally: Tally) -> int:
    return sum(tally.counts.get(name, 0) for name in ("USER_ERROR", "SYSTEM_ERROR", "DEADLINE_EXCEEDED"))


def _list_address(owner: str, cursor: str | None) -> str:
    given = {name: value for name, value in (("owner", owner), ("cursor", cursor)) if value}
    return f"/registrations?{urlencode(given)}" if given else "/registrations"


def _title(r: Registration) -> str:
    models = r.models[0] if len(r.models) == 1 else count(len(r.models), "model")
    return f"{r.protocols[0] if len(r.protocols) == 1 else count(len(r.protocols), 'protocol')} on {models}"


def _cancel_not(reader: PageReader, r: Registration, tally: Tally) -> str:
    """Why what is left of it cannot be canceled by the reader; empty if it can."""
    reasons = (reader.why_not("cancel_experiment", team=team, owner=r.owner) for team in tally.teams)
    return next((reason for reason in reasons if reason), "")


def _matrix(reader: PageReader, r: Registration, line: int) -> tuple[Matrix, Experiment | None]:
    """The lines from number `line` on, and the first experiment of the registration, if it is kept."""
    models, protocols = len(r.models), len(r.protocols)
    # They were made model by model.
    at = {divmod(number, protocols): identity for number, identity in enumerate(r.experiments)}
    down = models >= protocols
    count_down, count_across = (models, protocols) if down else (protocols, models)
    first = min(line, count_down) - 1
    shown = range(first, min(count_down, first + max(1, min(_MOST_LINES, _MOST_CELLS // count_across))))
    cells = {(d, a): at.get((d, a) if down else (a, d), "") for d in shown for a in range(count_across)}
    outlines = reader.app.experiments.outlines([identity for identity in cells.values() if identity])
    # What was set is the same for every model: the first tells it.
    wanted = range(protocols) if down else shown
    examples = _examples(reader, [at.get((0, j), "") for j in wanted])
    heads = {j: _head(r.protocols[j], examples.get(at.get((0, j), ""))) for j in wanted}
    named = {i: Head(name) for i, name in enumerate(r.models)}
    across, along = (heads, named) if down else (named, heads)
    lines = tuple((along[d], tuple(outlines.get(cells[d, a]) for a in range(count_across))) for d in shown)
    columns = tuple(across[a] for a in range(count_across))
    return Matrix(columns=columns, lines=lines, models_down=down, first=first + 1, all=count_down), next(iter(examples.values()), None)


def _examples(reader: PageReader, identities: Sequence[str]) -> Mapping[str, Experiment]:
    return reader.app.experiments.many([identity for identity in identities if identity])


def _head(protocol: str, example: Experiment | None) -> Head:
    if example is None:
        return Head(protocol)
    c = example.config
    given = [f"{name}={_short(value)}" for name, value in c.parameters.items() if c.origin.get(f"parameters.{name}") == "user"]
    given += [f"{name}={_short(getattr(c, name, ''))}" for name in ("replicates", "seed", "priority") if c.origin.get(name) == "user"]
    return Head(protocol, ", ".join(given), c.intent.name)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_short(inner)}" for name, inner in value.items()) + "}"
    return str(value)
