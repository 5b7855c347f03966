"""Launch: models, protocols and an intent become configurations, seen and edited before anything is registered."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import JSONResponse, RedirectResponse, Response

from wichtel.domain import WichtelError
from wichtel.experiments import Cost, Forecast, Refused
from wichtel.protocols import protocols
from wichtel.server import sessions
from wichtel.server.pages.completion import Completion
from wichtel.server.pages.draft import MOST_MODELS, Draft, fields_of, matching, read_draft
from wichtel.server.pages.reader import Form, PageReader, Reader, page_router
from wichtel.server.pages.verdicts import sketch

router = page_router("/launch")

_MOST_COMPLETIONS = 12


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some pairs cannot be launched."""

    protocol: str
    message: str
    where: str
    hint: str
    models: tuple[str, ...]


@router.get("")
def launch(reader: Reader, like: str = "") -> Response:
    """The page, or for htmx all of it but what stands around. What is typed is in the address."""
    if like:
        fields = fields_of(reader.app, reader.app.experiments.get(like))
        return RedirectResponse(f"/launch?{urlencode(fields, safe='/*')}", 303, {"Cache-Control": "no-store"})
    params = reader.request.query_params
    return _show(reader, Form({name: params.getlist(name) for name in params}))


@router.post("")
def register(reader: Reader) -> Response:
    """Register what the form says; lead to the experiment, or to the registration of several."""
    app = reader.app
    draft = read_draft(app, reader.principal, reader.form)
    if not draft.ready:
        return _show(reader, reader.form, draft, 422)
    made = app.experiments.register_models(draft.request(_key(reader.form)), reader.principal)
    return reader.go(f"/experiments/{made.experiments[0]}" if len(made.experiments) == 1 else f"/registrations/{made.id}")


@router.get("/completions")
def complete(reader: Reader, before: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Models, and patterns of several, that what is typed may become."""
    begun, length = before.strip(), len(before)
    if any(letter in begun for letter in "*?["):
        many = len(matching(reader.app, begun))
        told = f"more than {MOST_MODELS}" if many > MOST_MODELS else f"{many}"
        found = [Completion(begun, f"{told} {'model' if many == 1 else 'models'}", length)] if many else []
        return JSONResponse([asdict(one) for one in found])
    models = reader.app.models.list(contains=begun or None, limit=_MOST_COMPLETIONS)
    folders = dict.fromkeys(model.name.rpartition("/")[0] for model in models)
    patterns = [Completion(f"{folder}/*", "all of them", length) for folder in folders if folder and folder.startswith(begun.rstrip("/"))]
    found = [*(Completion(model.name, model.team, length) for model in models), *patterns]
    return JSONResponse([asdict(one) for one in found[: _MOST_COMPLETIONS + len(patterns)]])


def _show(reader: PageReader, given: Form, draft: Draft | None = None, status: int = 200) -> Response:
    app = reader.app
    draft = draft or read_draft(app, reader.principal, given)
    experiments = draft.survey.experiments if draft.survey else ()
    forecast: Forecast | None = None
    cost: Cost | None = None
    if draft.single and experiments:
        forecast = app.forecasts.of(experiments[0])
        cost = forecast.cost
    elif experiments:
        cost = app.forecasts.together(experiments)
    values: dict[str, Any] = {
        "draft": draft,
        "experiments": experiments,
        "reasons": _reasons(draft.survey.refused if draft.survey else ()),
        "forecast": forecast,
        "sketches": [sketch(n.constraint, n.reach) if n.reach else None for n in forecast.needs] if forecast else [],
        "cost": cost,
        "protocols": app.protocols.list(),
        "lacks": _lacks(draft),
        "job": next(iter(draft.heads.values())).analysis.job if draft.single else None,
        "why_not": reader.why_not("register_models", team=next(iter(draft.models.values())).team) if draft.single else _nowhere(reader),
        # Of this showing: pressed twice, the button registers once.
        "key": secrets.token_urlsafe(16),
        "anything": bool(draft.models) or bool(app.models.list(limit=1)),
    }
    return reader.show("parts/launch.html" if reader.partial else "launch.html", status, title="Launch", **values)


def _key(form: Form) -> str | None:
    """The same for the same showing with the same values: who goes back and changes something launches something else."""
    if not form.one("key"):
        return None
    said = sorted((name, values) for name, values in form.fields.items() if name != sessions.FIELD)
    return f"page/{hashlib.sha256(json.dumps(said).encode()).hexdigest()}"


def _nowhere(reader: PageReader) -> str:
    """Why the reader may not register anything at all."""
    teams = reader.principal.teams
    if any(reader.principal.may("register_models", team=team) for team in teams):
        return ""
    return reader.why_not("register_models", team=reader.principal.team)


def _lacks(draft: Draft) -> dict[str, WichtelError]:
    """Protocol → what the chosen models, if they are one, lack for it."""
    if len(draft.heads) != 1:
        return {}
    analysis = next(iter(draft.heads.values())).analysis
    found = {name: protocol.lacks(analysis) for name, protocol in protocols().items()}
    return {name: lack for name, lack in found.items() if lack is not None}


def _reasons(refused: tuple[Refused, ...]) -> list[Reason]:
    """What is refused for the same reason stands together."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for one in refused:
        found.setdefault((one.protocol, one.error.message, one.error.where or "", one.error.hint or ""), []).append(one.model)
    return [Reason(*why, models=tuple(models)) for why, models in found.items()]
