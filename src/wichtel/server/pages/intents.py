"""Intents: what counts as better, for which models; and the form that makes one."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import BUILT_IN_INTENTS, AppliedIntent, Constraint, Expectation, Intent, InvalidInput, NotFound, WichtelError
from wichtel.domain.intent import PRIMARY
from wichtel.domain.precedence import by_precedence
from wichtel.server.pages.reader import Form, PageReader, Reader, page_router

router = page_router("/intents")

_ON_A_PAGE = 25
_MOST_ROWS = 50
#: Offered while a metric is typed, beside those that other intents name.
_METRICS = (PRIMARY, "auc", "log_loss", "accuracy", "model_bytes", "inference_seconds", "train_cpu_seconds", "train_seconds")


@dataclass(frozen=True, slots=True)
class Shown:
    """An intent in the list."""

    intent: Intent
    #: Empty if it is built in.
    owner: str
    change_not: str
    #: Where it can be changed.
    address: str


@dataclass(slots=True, kw_only=True)
class Row:
    """A constraint in the form, as it was typed."""

    metric: str = ""
    better: str = "larger"
    #: ``gain`` or ``lose``: what it must do at least, or may do at most.
    kind: str = "gain"
    amount: str = "0"
    unit: str = "percent"
    confidence: str = "95"
    #: Field → what is wrong with it.
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, c: Constraint) -> Row:
        """The constraint as somebody would type it."""
        return cls(
            metric=c.metric,
            better=str(c.expectation),
            kind="lose" if c.threshold < 0 else "gain",
            amount=f"{abs(c.threshold) * (100 if c.relative else 1):.12g}",
            unit="percent" if c.relative else "absolute",
            confidence=f"{c.confidence * 100:.12g}",
        )

    def constraint(self) -> Constraint | None:
        """What it says; None if that is wrong, which `problems` then tell."""
        amount = self._number("amount", self.amount, 0.0, math.inf)
        confidence = self._number("confidence", self.confidence, 50.0, 100.0)
        if amount is None or confidence is None:
            return None
        relative = self.unit == "percent"
        threshold = (amount / 100 if relative else amount) * (-1 if self.kind == "lose" else 1)
        try:
            return Constraint(
                metric=self.metric,
                expectation=Expectation(self.better),
                threshold=threshold,
                relative=relative,
                confidence=confidence / 100,
            )
        except (InvalidInput, ValueError) as error:
            self.problems["metric"] = error.message if isinstance(error, InvalidInput) else "choose what is better."
            return None

    def _number(self, name: str, text: str, low: float, high: float) -> float | None:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and (low <= value if high == math.inf else low < value < high):
            return value
        told = "a number, 0 or more" if high == math.inf else f"a number between {low:g} and {high:g}"
        self.problems[name] = f"{text.strip() or 'nothing'} is not {told}."
        return None


@dataclass(slots=True, kw_only=True)
class Draft:
    """The form as it was sent, and what is wrong with it."""

    name: str = ""
    models: str = "*"
    help: str = ""
    #: The number of the row.
    primary: int = 0
    rows: list[Row] = field(default_factory=lambda: [Row(metric=PRIMARY, amount="0.5")])
    #: Whether one is changed that is there.
    editing: bool = False
    problems: dict[str, str] = field(default_factory=dict)


@router.get("")
def intents(
    reader: Reader,
    name: Annotated[str, Query(max_length=200)] = "",
    model: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """All of them, those of a name, or those that apply to a model."""
    service = reader.app.intents
    name, model = name.strip(), model.strip()
    applied: dict[tuple[str, str], AppliedIntent] = {}
    problem = ""
    if model:
        try:
            applied = {(one.intent.name, one.intent.models): one for one in service.applied(model)}
        except InvalidInput as error:
            problem = str(error)
    known = by_precedence(service.list())
    if name and not any(i.name == name for i in known):
        raise NotFound(f"there is no intent {name!r}.", hint="/intents has all of them.")
    owners = service.owners()
    groups = [
        (group, [_shown(reader, i, owners.get((i.name, i.models), "")) for i in own if not model or i.applies_to(model)])
        for group, own in itertools.groupby(known, key=lambda i: i.name)
        if (not name or group == name) and group > after
    ]
    shown = [(group, own) for group, own in groups if own]
    given = {key: value for key, value in (("name", name), ("model", model)) if value}
    return reader.show(
        "intents.html",
        422 if problem else 200,
        title=f"{name} · intent" if name else "Intents",
        groups=shown[:_ON_A_PAGE],
        following=f"/intents?{urlencode(given | {'after': shown[_ON_A_PAGE - 1][0]})}" if len(shown) > _ON_A_PAGE else "",
        name=name,
        model=model,
        after=after,
        applied=applied,
        problem=problem,
        used=reader.app.experiments.search("", limit=1).items != (),
        put_not=reader.why_not("put_intent"),
    )


@router.get("/form")
def form(reader: Reader, name: Annotated[str, Query(max_length=200)] = "", models: Annotated[str, Query(max_length=200)] = "*") -> Response:
    """The form, for a new one or one that is there."""
    found = reader.app.intents.find(name, models) if name else None
    if found is None:
        return _form(reader, Draft(name=name, models=models))
    rows = [Row.of(c) for c in found.constraints]
    primary = next(at for at, c in enumerate(found.constraints) if c.metric == found.primary)
    built_in = found in BUILT_IN_INTENTS
    # One that is built in stays: what is made of it is for fewer models.
    return _form(
        reader, Draft(name=name, models="" if built_in else models, help=found.help, primary=primary, rows=rows, editing=not built_in)
    )


@router.post("/form")
def put(reader: Reader) -> Response:
    """Keep what the form says, or show it again."""
    draft = _read(reader.form)
    if reader.form.one("more"):
        draft.rows.append(Row())
        return _form(reader, draft)
    intent = _intent(draft)
    if intent is not None:
        try:
            if not draft.editing and reader.app.intents.find(intent.name, intent.models) and intent not in BUILT_IN_INTENTS:
                raise InvalidInput(
                    f"there is one of that name for {intent.models!r} already.", hint="Change that one, or choose another pattern."
                )
            reader.app.intents.put(intent, reader.principal)
        except InvalidInput as error:
            draft.problems["models" if "for" in error.message and "name a" not in error.message else "name"] = _told(error)
        else:
            return reader.go(f"/intents?{urlencode({'name': intent.name})}")
    return _form(reader, draft, 422)


@router.post("/delete")
def delete(reader: Reader) -> Response:
    """Forget one."""
    reader.app.intents.delete(reader.form.one("name"), reader.form.one("models"), reader.principal)
    return reader.go("/intents")


def _shown(reader: PageReader, intent: Intent, owner: str) -> Shown:
    change_not = reader.why_not("put_intent") or (reader.why_not("change_intent", owner=owner) if owner else "")
    return Shown(intent, owner, change_not, f"/intents/form?{urlencode({'name': intent.name, 'models': intent.models})}")


def _form(reader: PageReader, draft: Draft, status: int = 200) -> Response:
    named = {c.metric for i in reader.app.intents.list() for c in i.constraints}
    return reader.show(
        "intent_form.html",
        status,
        title=f"Change {draft.name}" if draft.editing else "New intent",
        draft=draft,
        metrics=sorted(named.union(_METRICS)),
        built_in=[i.name for i in BUILT_IN_INTENTS],
        put_not=reader.why_not("put_intent"),
    )


def _read(sent: Form) -> Draft:
    columns = [sent.all(name)[:_MOST_ROWS] for name in ("metric", "better", "kind", "amount", "unit", "confidence")]
    rows = [
        Row(metric=metric.strip(), better=better, kind=kind, amount=amount, unit=unit, confidence=confidence)
        for metric, better, kind, amount, unit, confidence in zip(*columns, strict=False)
    ]
    primary = sent.one("primary")
    return Draft(
        name=sent.one("name").strip(),
        models=sent.one("models").strip(),
        help=sent.one("help").strip(),
        primary=int(primary) if primary.isdecimal() and len(primary) < 4 else 0,
        rows=rows or [Row()],
        editing=bool(sent.one("editing")),
    )


def _intent(draft: Draft) -> Intent | None:
    """What the form says; None if something is wrong, which it then tells."""
    if not draft.models:
        draft.problems["models"] = "Say for which models: a name, a pattern such as ads/*, or * for all."
    seen: dict[str, Row] = {}
    constraints: list[Constraint] = []
    for row in draft.rows:
        if not row.metric:
            continue
        if row.metric in seen:
            row.problems["metric"] = f"there is a constraint on {row.metric} already."
        seen[row.metric] = row
        constraint = row.constraint()
        if constraint is not None:
            constraints.append(constraint)
    primary = draft.rows[draft.primary] if draft.primary < len(draft.rows) else Row()
    if not seen:
        draft.rows[0].problems["metric"] = "An intent needs at least one constraint: name a metric."
    elif not primary.metric:
        draft.problems["primary"] = "Choose the primary metric among those that are constrained."
    if draft.problems or any(row.problems for row in draft.rows):
        return None
    try:
        return Intent(name=draft.name, models=draft.models, help=draft.help, primary=primary.metric, constraints=tuple(constraints))
    except WichtelError as error:
        draft.problems["name"] = _told(error)
        return None


def _told(error: WichtelError) -> str:
    return f"{error.message[:1].upper()}{error.message[1:]}" + (f" {error.hint}" if error.hint else "")
