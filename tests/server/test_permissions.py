"""Every call of the API by everybody, held against the table of permissions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from wichtel.app import App
from wichtel.domain import (
    Analysis,
    Bool,
    Constraint,
    Expectation,
    Experiment,
    ExperimentConfig,
    Intent,
    Metadata,
    Model,
    ModelVersion,
    Objective,
    Registration,
    RunSpec,
    Space,
    StudySpec,
)
from wichtel.experiments import RULES, Role, Rule, Scope
from wichtel.experiments.permissions import Where
from wichtel.plans import read_job
from wichtel.plans.tree import SourceTree
from wichtel.server import Background, listen
from wichtel.settings import load_settings

MATRIX = Path(__file__).parents[2] / "docs/service/permissions.md"


@dataclass(frozen=True)
class Who:
    """Somebody, with roles by team."""

    name: str
    teams: dict[str, Role]
    scopes: tuple[Scope, ...] = (Scope.ADMIN,)
    service: bool = False


VIEWER, EDITOR, APPROVER = Role.VIEWER, Role.EDITOR, Role.APPROVER
PEOPLE = (
    Who("viewer", {"ads": VIEWER}),
    # Those of another team: one who asked for what is here, one who has a role here besides, one with neither.
    Who("outsider", {"maps": EDITOR}),
    Who("chief-of-others", {"maps": APPROVER}),
    Who("olga", {"maps": EDITOR}),
    Who("guest", {"maps": VIEWER, "ads": EDITOR}),
    Who("editor", {"ads": EDITOR}),
    Who("approver", {"ads": APPROVER}),
    Who("reader", {"ads": APPROVER}, (Scope.READ,), service=True),
    Who("runner", {"ads": EDITOR}, (Scope.EXPERIMENTS,), service=True),
    Who("modeller", {"ads": APPROVER}, (Scope.MODELS,), service=True),
    Who("admin-that-reads", {"default": Role.ADMIN}, (Scope.READ,)),
    Who("boss", {"default": Role.ADMIN}),
)


def may(who: Who, rule: Rule, team: str | None, owner: str | None) -> bool:
    """What the table says, read once more, in other words than the service reads it."""
    if not {rule.scope, Scope.ADMIN} & {*who.scopes, Scope.READ}:
        return False
    if Role.ADMIN in who.teams.values():
        return True
    if rule.owner is not None and owner == who.name and max(who.teams.values()) >= rule.owner:
        return True
    held = {Where.TEAM: who.teams.get(team or ""), Where.ANYWHERE: max(who.teams.values()), Where.SERVICE: None}[rule.where]
    return held is not None and held >= rule.role


@dataclass(frozen=True)
class Call:
    """A call of a route."""

    #: Of the table; None for what everybody may who has a token, whatever it is for.
    action: str | None
    path: str
    json: Any = None
    team: str | None = None
    owner: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    #: Others are not told that the thing is there.
    hidden: bool = False
    #: Changes nothing, whatever its method.
    harmless: bool = False


def team(action: str, path: str, json: Any = None, **more: Any) -> Call:
    return Call(action, path, json, team="ads", **more)


INTENT = Intent(name="neutral", primary="auc", constraints=(Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.01),))
STUDY = {"space": {"x": {"kind": "bool"}}, "objectives": [{"metric": "l", "better": "smaller"}], "entry": "a:b"}
REGISTRATION = {"models": ["m"], "protocols": [{"protocol": "TrainModel"}]}
OWN_INTENT = {"primary": "auc", "constraints": [{"metric": "auc", "expectation": "larger"}]}

#: Route → calls of it. ``{who}`` becomes the caller's name.
CALLS: dict[str, list[Call]] = {
    "PUT /v1/models/{name}": [team("add_model", "/v1/models/new-{who}?team=ads"), team("add_version", "/v1/models/m")],
    "POST /v1/models:check": [team("add_model", "/v1/models:check?team=ads")],
    "POST /v1/models/{name}:launch": [team("launch", "/v1/models/m:launch", {"version": "v-1"})],
    # Nothing of it is archived while others are tested: a model of its own.
    "POST /v1/models/{name}:archive": [Call("archive_model", "/v1/models/old:archive", team="ads", owner="olga")],
    "POST /v1/models/{name}:restore": [Call("archive_model", "/v1/models/old:restore", team="ads", owner="olga")],
    "POST /v1/datasets": [Call("add_dataset", "/v1/datasets", {"name": "d-{who}", "files": ["/nowhere.csv"], "time_column": "t"})],
    "PUT /v1/intents": [
        Call("put_intent", "/v1/intents", {"name": "mine-{who}", **OWN_INTENT}),
        Call("change_intent", "/v1/intents", {"name": "olgas", **OWN_INTENT}, owner="olga"),
    ],
    "DELETE /v1/intents/{name}": [
        Call("put_intent", "/v1/intents/mine-{who}"),
        Call("change_intent", "/v1/intents/olgas", owner="olga"),
    ],
    "POST /v1/registrations": [team("register_models", "/v1/registrations", REGISTRATION)],
    "POST /v1/registrations:preview": [Call(None, "/v1/registrations:preview", REGISTRATION, harmless=True)],
    "POST /v1/registrations/{registration}:cancel": [team("cancel_experiment", "/v1/registrations/r-1:cancel", owner="olga")],
    "POST /v1/experiments/{experiment}:rerun": [team("register_models", "/v1/experiments/e-2:rerun")],
    "POST /v1/experiments/{experiment}:cancel": [team("cancel_experiment", "/v1/experiments/e-2:cancel", owner="olga")],
    "POST /v1/experiments/{experiment}:finish": [
        Call("finish_experiment", "/v1/experiments/e-3:finish", {"status": "SATISFIED", "cause": "so"})
    ],
    "POST /v1/runs/{run}:cancel": [team("cancel_run", "/v1/runs/run-1:cancel")],
    "POST /v1/studies": [team("add_study", "/v1/studies", {"name": "s-{who}", "quota_group": "ads", **STUDY})],
    "POST /v1/studies/{study}:cancel": [team("cancel_study", "/v1/studies/s-1:cancel")],
    "PUT /v1/quota-groups": [Call("put_quota_group", "/v1/quota-groups", {"name": "ads"})],
    "DELETE /v1/quota-groups/{group}": [Call("put_quota_group", "/v1/quota-groups/ads")],
    "POST /v1/quota-groups/{group}:pause": [Call("put_quota_group", "/v1/quota-groups/ads:pause", {"reason": "so"})],
    "POST /v1/quota-groups/{group}:resume": [Call("put_quota_group", "/v1/quota-groups/ads:resume")],
    "PUT /v1/limits": [Call("put_quota_group", "/v1/limits", {"kind": "user", "name": "olga", "max_in_progress": 3})],
    "DELETE /v1/limits": [Call("put_quota_group", "/v1/limits?kind=user&name=olga")],
    "POST /v1/channels": [team("change_channel", "/v1/channels", {"kind": "email", "address": "a@example.org", "team": "ads"})],
    "DELETE /v1/channels/{channel}": [Call("change_channel", "/v1/channels/none", owner="{who}")],
    "POST /v1/channels/{channel}:test": [Call("change_channel", "/v1/channels/none:test", owner="{who}", harmless=True)],
    "GET /v1/channels": [Call(None, "/v1/channels"), Call("see_notifications", "/v1/channels?everyone=true")],
    "POST /v1/saved-searches": [
        team("save_search", "/v1/saved-searches", {"name": "s-{who}", "team": "ads"}),
        Call("save_search", "/v1/saved-searches", {"name": "mine-{who}"}, owner="{who}"),
    ],
    "PUT /v1/saved-searches/{search}": [
        Call("save_search", "/v1/saved-searches/none", {"name": "s"}, owner="{who}"),
    ],
    "DELETE /v1/saved-searches/{search}": [Call("save_search", "/v1/saved-searches/none", owner="{who}")],
    "POST /v1/watches": [Call("watch", "/v1/watches", {"kind": "experiment", "subject": "e-1"})],
    "DELETE /v1/watches": [Call("watch", "/v1/watches?kind=experiment&subject=e-1")],
    "PUT /v1/teams": [Call("manage_teams", "/v1/teams", {"name": "new"})],
    "PUT /v1/members": [Call("manage_teams", "/v1/members", {"team": "maps", "principal": "viewer", "role": "viewer"})],
    "DELETE /v1/members": [Call("manage_teams", "/v1/members?team=maps&principal=viewer")],
    "POST /v1/principals": [Call("manage_principals", "/v1/principals", {"name": "new-{who}"})],
    "PATCH /v1/principals/{name}": [Call("manage_principals", "/v1/principals/spare", {"email": "s@example.org"})],
    "POST /v1/principals/{name}:disable": [Call("manage_principals", "/v1/principals/spare:disable")],
    "POST /v1/principals/{name}:enable": [Call("manage_principals", "/v1/principals/spare:enable")],
    "POST /v1/tokens": [
        Call("create_token", "/v1/tokens", {"scopes": ["read"]}),
        Call("create_token_for", "/v1/tokens", {"name": "spare", "scopes": ["read"]}),
        Call("create_token_for", "/v1/tokens", {"name": "fresh-{who}", "role": "admin"}),
    ],
    "GET /v1/tokens": [
        Call(None, "/v1/tokens"),
        Call("see_tokens", "/v1/tokens?principal=spare"),
        Call("see_tokens", "/v1/tokens?everyone=true"),
    ],
    "DELETE /v1/tokens/{token}": [
        Call("revoke_token", "/v1/tokens/0000000000", owner="{who}"),
        Call("revoke_token", "/v1/tokens/{spare}", owner="spare"),
    ],
    "GET /v1/jobs": [Call("see_jobs", "/v1/jobs")],
    "GET /v1/jobs/{job}": [Call("see_jobs", "/v1/jobs/forget-requests")],
    "POST /v1/jobs/{job}:run": [Call("run_job", "/v1/jobs/forget-requests:run")],
    "POST /v1/jobs/{job}:preview": [Call("run_job", "/v1/jobs/forget-requests:preview", harmless=True)],
    "POST /v1/triage/{case}:resolve": [Call("resolve_case", "/v1/triage/none:resolve", {"state": "fixed", "note": ""})],
}

#: Reads that everybody may who comes in, whatever their token is for.
READS = {
    "/v1/models": "", "/v1/models/{name}": "/v1/models/m", "/v1/versions": "?model=m", "/v1/versions/{version}": "/v1/versions/v-1",
    "/v1/versions/{version}/diff": "/v1/versions/none/diff?base=none", "/v1/versions/{version}/archive": "/v1/versions/none/archive",
    "/v1/datasets": "", "/v1/datasets/{name}": "/v1/datasets/d", "/v1/intents": "", "/v1/intents/{name}": "/v1/intents/none?model=m",
    "/v1/protocols": "", "/v1/protocols/{name}": "/v1/protocols/TrainModel",
    "/v1/registrations": "", "/v1/registrations/{registration}": "/v1/registrations/r-1",
    "/v1/saved-searches": "", "/v1/saved-searches/{search}": "/v1/saved-searches/none",
    "/v1/experiments": "", "/v1/experiments/{experiment}": "/v1/experiments/e-1", "/v1/analysis": "?ids=e-1",
    "/v1/experiments/{experiment}/steps": "/v1/experiments/e-1/steps", "/v1/experiments/{experiment}/diff": "/v1/experiments/e-1/diff",
    "/v1/experiments/{experiment}/export": "/v1/experiments/e-1/export", "/v1/queue": "",
    "/v1/experiments/{experiment}/waiting": "/v1/experiments/e-1/waiting",
    "/v1/runs": "", "/v1/runs/{run}": "/v1/runs/run-1", "/v1/measurements": "?run=run-1", "/v1/logs": "?run=run-1",
    "/v1/studies": "", "/v1/studies/{study}": "/v1/studies/s-1", "/v1/trials": "?study=s-1", "/v1/trials:columns": "?study=s-1",
    "/v1/trials:curves": "?study=s-1&metric=l", "/v1/trials:importance": "?study=s-1", "/v1/trials:warnings": "?study=s-1",
    "/v1/onboarding": "?model=m",
    "/v1/events": "", "/v1/events:stream": "",
    "/v1/quota-groups": "", "/v1/limits": "", "/v1/channels/{channel}": "/v1/channels/none", "/v1/watches": "", "/v1/notifications": "",
    "/v1/me": "", "/v1/teams": "", "/v1/teams/{name}": "/v1/teams/ads", "/v1/members": "?team=ads", "/v1/principals": "",
    "/v1/principals/{name}": "/v1/principals/spare", "/v1/audit": "", "/v1/health": "",
    "/v1/exports": "", "/v1/exports/records": "", "/v1/exports/{number}/files/{day}": "/v1/exports/1/files/2026-01-01",
    "/v1/triage": "", "/v1/triage/{case}": "/v1/triage/none", "/v1/usage": "", "/v1/usage/requests": "", "/v1/usage/statuses": "",
    "/v1/quota-groups/{group}": "/v1/quota-groups/ads", "/v1/usage/times": "", "/v1/usage/protocols": "",
}  # fmt: skip


@dataclass
class World:
    app: App
    url: str
    #: Name → token.
    tokens: dict[str, str]
    #: Id of a token of somebody else.
    spare: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("permissions")
    app = App(load_settings({"home": folder / "home", "workers": 1, "requests_per_second": 0}))
    app.start(("api",))
    first = app.access.authenticate(str(app.access.initialise()))
    tokens = {}
    for who in PEOPLE:
        (home, role), *others = who.teams.items()
        app.access.create_token(first, who.name, role=role.name, team=home)
        for other, its in others:
            app.teams.put_member(other, who.name, its.name, first)
        tokens[who.name] = app.access.create_token(first, who.name, scopes=who.scopes)
    app.access.create_token(first, "spare", role="viewer", team="ads")
    spare = app.access.make_token(first, "spare").id
    _fill(app)
    socket = listen("127.0.0.1", 0)
    with Background(app, socket):
        yield World(app, f"http://127.0.0.1:{socket.getsockname()[1]}", tokens, spare)
    app.stop()


_JOB = """
[dataset]
name = "d"
label = "late"
[windows]
train = [2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z]
evaluation = [2020-01-02T00:00:00Z, 2020-01-03T00:00:00Z]
holdout = [2020-01-03T00:00:00Z, 2020-01-04T00:00:00Z]
"""


def _fill(app: App) -> None:
    """What belongs to team ads, and olga of another team asked for."""
    job = read_job(SourceTree({"job.toml": _JOB.encode(), "plan.py": b""}))
    analysis = Analysis(trainer="sklearn", features=(), tunables=(), metadata=Metadata(primary_metric="auc", better="larger"), job=job)
    with app.db.transaction() as tx:
        tx.models.add(Model(name="m", owner="editor", team="ads", head="v-1", created=tx.now))
        tx.versions.add(ModelVersion(id="v-1", model="m", tree="0" * 64, analysis=analysis, created=tx.now))
        tx.models.add(Model(name="old", owner="olga", team="ads", head="v-1", created=tx.now))
        names = ("e-1", "e-2", "e-3")
        tx.registrations.add(Registration(id="r-1", owner="olga", models=("m",), protocols=("P",), experiments=("e-1",), created=tx.now))
        for name in names:
            given = {"registration": "r-1", "model": "m", "target": "v-1", "protocol": "TrainModel", "owner": "olga", "quota_group": "ads"}
            tx.experiments.add(Experiment(id=name, config=ExperimentConfig(intent=INTENT), created=tx.now, **given))
        tx.runs.add(RunSpec(id="run-1", entry="m:f", quota_group="ads"))
        space = Space({"x": Bool()})
        spec = StudySpec(
            id="s-1",
            name="s-1",
            entry="m:f",
            space=space,
            objectives=(Objective(metric="l", better=Expectation.SMALLER),),
            quota_group="ads",
        )
        tx.studies.add(spec)
        tx.intents.put(Intent(name="olgas", primary="auc", constraints=INTENT.constraints), "olga")


def _routes(document: dict[str, Any]) -> list[str]:
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() if path.startswith("/v1/") for method in methods]


def _calls(route: str) -> list[Call]:
    if route in CALLS:
        return CALLS[route]
    path = route.removeprefix("GET ")
    given = READS[path]
    return [Call(None, given if given.startswith("/") else path + given)]


def _filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
    if isinstance(value, dict):
        return {key: _filled(inner, names) for key, inner in value.items()}
    return [_filled(inner, names) for inner in value] if isinstance(value, list) else value


def test_every_call_by_everybody_is_answered_as_the_table_says(world: World) -> None:
    wrong = []
    unaudited = []
    with httpx2.Client(base_url=world.url, timeout=60) as http:

        def ask(method: str, call: Call, name: str | None) -> int:
            names = {"who": name or "nobody", "spare": world.spare}
            headers = {"Authorization": f"Bearer {world.tokens[name]}"} if name else {}
            path, json = _filled(call.path, names), _filled(call.json, names)
            with http.stream(method, path, headers=headers, **({"json": json} if json is not None else {})) as answer:
                return int(answer.status_code)

        headers = {"Authorization": f"Bearer {world.tokens['boss']}"}
        routes = _routes(http.get("/v1/openapi.json", headers=headers).json())
        assert not set(CALLS) - set(routes), "calls of routes that are not there any more"
        unknown = [route for route in routes if route not in CALLS and route.removeprefix("GET ") not in READS]
        assert not unknown, f"routes that are in neither table of this test, nor, perhaps, in that of permissions: {unknown}"
        for name in world.tokens:
            assert ask("GET", Call(None, "/v1/me"), name) == 200
        for route in routes:
            method = route.partition(" ")[0]
            for call in _calls(route):
                said: list[tuple[Who, bool]] = []
                for who in PEOPLE:
                    owner = _filled(call.owner, {"who": who.name}) if call.owner else None
                    said.append((who, call.action is None or may(who, RULES[call.action], call.team, owner)))
                if ask(method, call, None) not in (401, 429):
                    wrong.append(f"{route} by nobody")
                # Those who may not come first, while there is something that they might do.
                for who, allowed in sorted(said, key=lambda pair: (pair[1], pair[0].name == "boss")):
                    before = _entries(world.app)
                    status = ask(method, call, who.name)
                    if (status == 403) == allowed or status == 401 or status >= 500:
                        wrong.append(f"{route} ({call.action}) by {who.name}: {status}, though {'allowed' if allowed else 'denied'}")
                    if method != "GET" and status < 300 and not call.harmless and _entries(world.app) == before:
                        unaudited.append(route)
    assert not wrong, "\n".join(wrong)
    assert not unaudited, "\n".join(sorted(set(unaudited)))


def _entries(app: App) -> int:
    with app.db.read() as tx:
        return int(tx.audit.list(limit=1, outcome="done")[0].number)


def test_every_rule_is_held_against_some_call() -> None:
    tested = {call.action for calls in CALLS.values() for call in calls}
    # Reads; what only changes an answer; what is for calls to come.
    assert set(RULES) - tested == {"read", "see_principal", "see_audit"}


def test_the_page_of_the_documentation_shows_the_table() -> None:
    assert MATRIX.read_text() == page(), f"write anew: python {Path(__file__).name}"


def page() -> str:
    """``docs/service/permissions.md``."""
    lines = [
        "# Who may do what",
        "",
        "Made from the table that the service asks (`wichtel.experiments.permissions`) by `python tests/server/test_permissions.py`.",
        "",
        "Everybody who comes in may read everything that is not named below. A role holds in one team; an admin's holds everywhere.",
        "A role may do all that those before it may: viewer, editor, approver, admin. *Owner* is who made the thing, such as whoever",
        "registered an experiment, as long as they have the role in brackets in some team. A token can do no more than its scope.",
        "",
        "| action | to … | role | where | owner | scope of the token |",
        "|---|---|---|---|---|---|",
    ]
    for action, rule in RULES.items():
        owner = f"yes ({rule.owner.name.lower()})" if rule.owner else ""
        lines.append(f"| `{action}` | {rule.to} | {rule.role.name.lower()} | {rule.where.value} | {owner} | `{rule.scope}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    MATRIX.parent.mkdir(parents=True, exist_ok=True)
    MATRIX.write_text(page())
