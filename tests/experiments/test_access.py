from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from wichtel.domain import Expectation, Float, IllegalTransition, InvalidInput, NotFound, NotPermitted, Objective, Space, StudySpec
from wichtel.experiments import Access, Audit, Models, NewPrincipal, Principal, Principals, Role, Scope, Sessions, Studies, Teams
from wichtel.experiments.audit import MOST_DENIED
from wichtel.store import Artifacts, Database

ANA = Principal(name="ana", team="ads", role=Role.EDITOR)


@pytest.fixture
def access(database: Database) -> Iterator[Access]:
    opened = Access(database)
    yield opened
    # What it notes in the background ends before the database is closed.
    opened.close()


def study(**other: object) -> StudySpec:
    given = {"id": "s-1", "name": "s", "entry": "m:f", "space": Space({"x": Float(0, 1)})}
    return StudySpec(**{**given, "objectives": (Objective(metric="loss", better=Expectation.SMALLER),), **other})


def test_the_first_token_is_an_admins_and_is_given_once(access: Access) -> None:
    token = access.initialise()
    assert token is not None
    assert access.authenticate(token).role is Role.ADMIN
    assert access.initialise() is None


def test_a_token_that_nobody_gave_is_refused(access: Access) -> None:
    with pytest.raises(NotPermitted, match="not valid"):
        access.authenticate("wt_guess")


def test_only_an_admin_makes_tokens_and_each_is_as_good_as_its_role(access: Access) -> None:
    first = access.initialise()
    assert first is not None
    admin = access.authenticate(first)
    eve = access.authenticate(access.create_token(admin, "eve", role="viewer", team="ads"))
    assert (eve.name, eve.team, eve.role) == ("eve", "ads", Role.VIEWER)
    with pytest.raises(NotPermitted, match="takes the role admin"):
        access.create_token(eve, "mallory", role="admin", team="ads")
    with pytest.raises(InvalidInput, match="eve is viewer of team ads"):
        access.create_token(admin, "eve", role="editor", team="ads")
    with pytest.raises(InvalidInput, match="Did you mean 'editor'"):
        access.create_token(admin, "bob", role="edittor", team="ads")


def test_nobody_spends_another_teams_share(database: Database, tmp_path) -> None:
    studies, models = Studies(database), Models(database, Artifacts(str(tmp_path)))
    assert studies.add(study(), ANA).spec.quota_group == "ads"
    with pytest.raises(NotPermitted, match="share of team 'maps'"):
        studies.add(study(id="s-2", name="t", quota_group="maps"), ANA)
    with pytest.raises(NotPermitted, match="model of team 'maps'"):
        models.add("m", b"", ANA, team="maps")


def test_a_study_cannot_take_the_place_of_an_experiments(database: Database) -> None:
    with pytest.raises(InvalidInput, match="has a '/'"):
        Studies(database).add(study(id="e-1/study"), ANA)


def test_a_token_can_no_more_than_its_scopes_and_makes_no_wider_one(access: Access, database: Database) -> None:
    admin = access.authenticate(str(access.initialise()))
    runner = access.authenticate(access.create_token(admin, "ana", role="editor", team="ads", scopes=["experiments:write"]))
    assert runner.scopes == {Scope.EXPERIMENTS}
    assert Studies(database).add(study(), runner).spec.quota_group == "ads"
    with pytest.raises(NotPermitted, match="takes the scope models:write"):
        runner.permit("add_model", team="ads")
    with pytest.raises(NotPermitted, match="takes the scope admin"):
        access.create_token(runner)
    ana = access.authenticate(access.create_token(admin, "ana"))
    assert access.authenticate(access.create_token(ana, scopes=["read"])).scopes == {Scope.READ}
    with pytest.raises(InvalidInput, match="no scope 'write'"):
        access.create_token(ana, scopes=["write"])
    with pytest.raises(NotPermitted, match="takes the role admin"):
        access.create_token(ana, "admin")


def test_a_revoked_token_and_one_of_somebody_disabled_are_refused_at_once(access: Access, database: Database) -> None:
    principals = Principals(database)
    admin = access.authenticate(str(access.initialise()))
    made = access.make_token(admin, "ana", role="editor", team="ads")
    kept = access.create_token(admin, "ana")
    ana = access.authenticate(made.token)
    assert made.token.startswith(f"wt_{made.id}_")
    access.revoke_token(made.id, ana)
    with pytest.raises(NotPermitted):
        access.authenticate(made.token)
    with pytest.raises(NotFound):
        access.revoke_token(made.id, ana)
    with pytest.raises(NotPermitted):
        access.revoke_token(access.tokens(admin)[0].id, ana)
    principals.disable("ana", admin)
    with pytest.raises(NotPermitted):
        access.authenticate(kept)
    principals.enable("ana", admin)
    assert access.authenticate(kept).name == "ana"


def test_when_a_token_was_used_is_noted_once_a_minute(access: Access) -> None:
    token = str(access.initialise())
    admin = access.authenticate(token)
    deadline = time.monotonic() + 60
    while access.tokens(admin)[0].last_used is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    noted = access.tokens(admin)[0].last_used
    access.authenticate(token)
    access.close()
    assert access.tokens(admin)[0].last_used == noted


def test_a_role_in_another_team_counts_there_and_only_there(access: Access, database: Database) -> None:
    teams, principals = Teams(database), Principals(database)
    admin = access.authenticate(str(access.initialise()))
    token = access.create_token(admin, "ana", role="viewer", team="ads")
    teams.put("maps", "", admin)
    teams.put_member("maps", "ana", "approver", admin)
    ana = access.authenticate(token)
    assert ana.teams == {"ads": Role.VIEWER, "maps": Role.APPROVER}
    ana.permit("launch", team="maps")
    with pytest.raises(NotPermitted, match="team 'ads': that takes the role editor there, and ana is a viewer"):
        ana.permit("register_models", team="ads")
    with pytest.raises(InvalidInput, match="home of ana"):
        teams.put_member("ads", "ana", "editor", admin)
    assert [(m.principal, m.role, m.home) for m in teams.members("maps")] == [("ana", "approver", False)]
    # Whoever moves keeps no second role in the new home.
    assert principals.change("ana", admin, team="maps").teams == {}
    assert access.authenticate(token).teams == {"maps": Role.VIEWER}


def test_there_is_always_an_admin(access: Access, database: Database) -> None:
    principals = Principals(database)
    admin = access.authenticate(str(access.initialise()))
    for change in (lambda: principals.disable("admin", admin), lambda: principals.change("admin", admin, role="editor")):
        with pytest.raises(IllegalTransition, match="no admin left"):
            change()
    principals.add(NewPrincipal(name="ben", role="admin"), admin)
    assert principals.change("admin", admin, role="editor").role == "editor"


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[Database]:
    opened = Database.open(postgres_url, upgrade=True)
    yield opened
    opened.close()


def at_once(database: Database, *calls: Callable[[], Any]) -> list[Future[Any]]:
    """What came of `calls`, each of which was far into its transaction before the first could commit: all write to the audit log."""
    with ThreadPoolExecutor(len(calls)) as threads:
        with database.engine.connect() as keeper:
            keeper.execute(sa.text("LOCK TABLE audit IN EXCLUSIVE MODE"))
            made = []
            for i, call in enumerate(calls, 1):
                made.append(threads.submit(call))
                deadline = time.monotonic() + 30
                while keeper.execute(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one() < i:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
        return made


def test_of_two_admins_who_disable_each_other_at_the_same_time_one_stays(on_postgres: Database) -> None:
    access, principals = Access(on_postgres), Principals(on_postgres)
    first = access.authenticate(str(access.initialise()))
    second = access.authenticate(access.create_token(first, "second", role="admin", team="default"))
    access.close()
    made = at_once(on_postgres, lambda: principals.disable("second", first), lambda: principals.disable("admin", second))
    assert made[0].exception() is None
    with pytest.raises(IllegalTransition, match="no admin left"):
        made[1].result()


def test_who_logs_in_while_the_token_is_revoked_is_not_in(on_postgres: Database) -> None:
    access, sessions = Access(on_postgres), Sessions(on_postgres, idle=timedelta(hours=1), lifetime=timedelta(days=1))
    admin = access.authenticate(str(access.initialise()))
    token = access.make_token(admin, "ana", role="editor", team="ads")
    access.close()
    cookie, revoked = at_once(on_postgres, lambda: sessions.log_in(token.token), lambda: access.revoke_token(token.id, admin))
    assert revoked.exception() is None
    assert sessions.find(cookie.result()) is None
    sessions.close()


def test_an_address_is_told_to_admins_and_to_whose_it_is(access: Access, database: Database) -> None:
    principals = Principals(database)
    admin = access.authenticate(str(access.initialise()))
    principals.add(NewPrincipal(name="ana", team="ads", email="ana@example.org"), admin)
    principals.add(NewPrincipal(name="bob", team="ads"), admin)
    ana, bob = (access.authenticate(access.create_token(admin, name)) for name in ("ana", "bob"))
    assert [principals.get("ana", who).email for who in (admin, ana, bob)] == ["ana@example.org"] * 2 + [None]
    with pytest.raises(InvalidInput, match="no e-mail address"):
        principals.change("bob", admin, email="bob@example.org\nBcc: all@example.org")


def test_the_audit_log_is_for_those_whom_it_concerns(database: Database) -> None:
    audit = Audit(database)
    with database.transaction() as tx:
        tx.principals.add("ana", team="ads", role="editor")
        tx.principals.add("cem", team="maps", role="editor")
        tx.audit.add("cem", "launch", "m-1", team="maps")
        tx.audit.add("cem", "cancel", "e-1", team="ads")
        tx.audit.add("ana", "put_intent", "i-1")
        tx.audit.add("cem", "put_intent", "i-2")
        tx.audit.add("boss", "put_quota_group", "ads")
    eve = Principal(name="eve", team="ads", role=Role.VIEWER)
    boss = Principal(name="boss", team="default", role=Role.ADMIN)

    def subjects(reader: Principal, **wanted: object) -> list[str]:
        return [entry.subject for entry in audit.list(reader, **wanted).items]  # type: ignore[arg-type]

    assert subjects(boss) == ["ads", "i-2", "i-1", "e-1", "m-1"]
    assert subjects(eve) == ["i-1", "e-1"]
    assert subjects(Principal(name="cem", team="maps", role=Role.EDITOR)) == ["i-2", "e-1", "m-1"]
    # An admin's token for reading only is no key to all of it.
    assert subjects(Principal(name="boss", team="default", role=Role.ADMIN, scopes=frozenset({Scope.READ}))) == ["ads"]
    assert subjects(boss, action="put_intent", principal="cem") == ["i-2"]
    first = audit.list(boss, limit=3)
    assert [e.subject for e in audit.list(boss, limit=3, cursor=first.cursor).items] == ["e-1", "m-1"]
    with pytest.raises(InvalidInput, match="no cursor"):
        audit.list(boss, cursor="first")


def test_whoever_is_refused_again_and_again_does_not_flood_the_audit_log(database: Database) -> None:
    audit = Audit(database)
    for i in range(3 * MOST_DENIED):
        audit.denied("anonymous", "authenticate", f"/v1/{i}", {}, group="192.0.2.1")
    audit.denied("eve", "models_launch", "/v1/models/m:launch", {})
    with database.read() as tx:
        entries = tx.audit.list(limit=1000, outcome="denied")
    assert len(entries) == MOST_DENIED + 1
    assert entries[0].principal == "eve"


def test_whom_a_provider_vouches_for_is_known_by_that_and_not_by_a_name(database: Database) -> None:
    principals = Principals(database)
    first = principals.identified("https://id#1", "ana", home=("ads", "editor"), teams={"maps": "viewer"}, email="ana@example.org")
    again = principals.identified("https://id#1", "renamed", home=("maps", "approver"), teams={}, email=None)
    assert (first.name, first.team, first.teams) == ("ana", "ads", {"maps": "viewer"})
    assert (again.name, again.team, again.role, again.teams, again.email) == ("ana", "maps", "approver", {}, "ana@example.org")
    with pytest.raises(Exception, match="another principal 'ana'"):
        principals.identified("https://id#2", "ana", home=("ads", "editor"), teams={}, email=None)
