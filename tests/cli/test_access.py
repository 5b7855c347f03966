"""Teams, principals, tokens and the audit log, as an admin types them."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def ana(wichtel: Any) -> str:
    """A token of somebody who is an editor of team ads."""
    if "ana" not in [p["name"] for p in wichtel("principals", "list", "--json").data]:
        wichtel("teams", "add", "ads", "--description", "Ranking")
        wichtel("principals", "add", "ana", "--team", "ads", "--role", "editor", "--email", "ana@example.org")
    return str(wichtel("tokens", "create", "ana").out.strip())


def test_teams(wichtel: Any, ana: str) -> None:
    assert "Ranking" in wichtel("teams", "list").out
    assert wichtel("teams", "add", "maps", "--json").data["name"] == "maps"
    assert wichtel("teams", "add", "maps", "--description", "Roads").out.split() == ["team", "maps", "description", "Roads"]
    assert "Roads" in wichtel("teams", "show", "maps").out
    assert "Did you mean 'maps'?" in wichtel("teams", "show", "mpas", expect=4).err
    wichtel("teams", "admit", "maps", "ana", "--role", "approver")
    assert wichtel("teams", "members", "maps").out.splitlines()[1].split() == ["ana", "approver", "no"]
    assert wichtel("teams", "members", "maps", "--json").data[0]["role"] == "approver"
    assert wichtel("whoami", "--token", ana, "--json").data["teams"] == {"ads": "editor", "maps": "approver"}
    assert "of the whole service" in wichtel("teams", "admit", "maps", "ana", "--role", "admin", expect=2).err
    assert "there is no role" in wichtel("teams", "admit", "maps", "ana", "--role", "aprover", expect=2).err
    wichtel("teams", "admit", "maps", "nobody", expect=4)
    wichtel("teams", "admit", "nowhere", "ana", expect=4)
    assert wichtel("teams", "dismiss", "maps", "ana", "--json").data == {"dismissed": "ana"}
    assert "has no role" in wichtel("teams", "dismiss", "maps", "ana", expect=4).err
    assert "cannot name" in wichtel("teams", "add", "two words", expect=2).err
    assert "ana is an editor" in wichtel("teams", "add", "mine", "--token", ana, expect=5).err


def test_principals(wichtel: Any, ana: str) -> None:
    assert "ana@example.org" in wichtel("principals", "list").out
    wichtel("principals", "add", "nightly", "--service", "--team", "ads")
    shown = wichtel("principals", "show", "nightly", "--json").data
    assert (shown["kind"], shown["role"], shown["team"]) == ("service", "viewer", "ads")
    assert "viewer" in wichtel("principals", "show", "nightly").out
    assert wichtel("principals", "set", "nightly", "--role", "editor", "--json").data["role"] == "editor"
    assert wichtel("principals", "set", "nightly", "--email", "n@example.org", "--json").data["email"] == "n@example.org"
    assert wichtel("principals", "set", "nightly", "--email", "", "--json").data["email"] is None
    assert "nothing is to be set" in wichtel("principals", "set", "nightly", expect=2).err
    assert "Did you mean 'ana'?" in wichtel("principals", "show", "anna", expect=4).err
    assert "already" in wichtel("principals", "add", "ana", expect=2).err
    assert "Did you mean 'editor'?" in wichtel("principals", "add", "bo", "--role", "edtor", expect=2).err
    assert "cannot name a principal" in wichtel("principals", "add", "bo@example.org", expect=2).err
    assert "e-mail" in wichtel("principals", "add", "bo", "--email", "bo", expect=2).err
    assert "takes the role admin" in wichtel("principals", "set", "ana", "--role", "admin", "--token", ana, expect=5).err


def test_whoever_is_disabled_is_told_so_by_every_command(wichtel: Any, ana: str) -> None:
    assert "disabled" in wichtel("principals", "disable", "ana").out
    assert "not valid, or no longer" in wichtel("whoami", "--token", ana, expect=5).err
    assert wichtel("principals", "enable", "ana", "--json").data["disabled"] is None
    assert wichtel("whoami", "--token", ana).out.splitlines()[0].split() == ["name", "ana"]
    assert "not disabled" in wichtel("principals", "enable", "ana", expect=2).err
    assert "no admin left" in wichtel("principals", "disable", "admin", expect=2).err
    wichtel("principals", "disable", "nobody", expect=4)


def test_tokens(wichtel: Any, ana: str) -> None:
    made = wichtel("tokens", "create", "ana", "--scope", "read", "--label", "laptop", "--expires", "2100-01-01", "--json").data["token"]
    identity = made.split("_")[1]
    [row] = [t for t in wichtel("tokens", "list", "ana", "--json").data if t["id"] == identity]
    assert (row["scopes"], row["label"], row["expires"]) == (["read"], "laptop", "2100-01-01T00:00:00Z")
    assert "laptop" in wichtel("tokens", "list", "--token", ana).out
    assert "first" in wichtel("tokens", "list", "--all").out
    assert made not in wichtel("tokens", "list", "--all", "--json").out
    assert wichtel("whoami", "--token", made, "--json").data["scopes"] == ["read"]
    # It can do no more than its scope, and make none that can.
    assert "takes the scope admin" in wichtel("tokens", "create", "--token", made, expect=5).err
    assert "takes the scope" in wichtel("watch", "experiment", "e-1", "--token", made, expect=5).err
    assert "takes the role admin" in wichtel("tokens", "create", "admin", "--token", ana, expect=5).err
    for forbidden in (["--all"], ["admin"]):
        assert "the tokens of others" in wichtel("tokens", "list", *forbidden, "--token", ana, expect=5).err
    assert "Known:" in wichtel("tokens", "create", "--scope", "wrte", expect=2).err
    assert "no principal 'bob'" in wichtel("tokens", "create", "bob", expect=4).err
    assert "is editor of team ads" in wichtel("tokens", "create", "ana", "--role", "admin", expect=2).err
    assert "is past" in wichtel("tokens", "create", "ana", "--expires", "2001-01-01", expect=2).err
    assert wichtel("tokens", "revoke", identity, "--json").data == {"revoked": True}
    assert "there is no token" in wichtel("tokens", "revoke", identity, expect=4).err
    assert "not valid" in wichtel("whoami", "--token", made, expect=5).err


def test_audit(wichtel: Any, ana: str) -> None:
    wichtel("teams", "add", "audited")
    wichtel("teams", "add", "refused", "--token", ana, expect=5)
    text = wichtel("audit", "--subject", "audited").out
    assert text.splitlines()[0].split() == ["TIME", "PRINCIPAL", "ACTION", "SUBJECT", "TEAM", "DETAIL"]
    assert "put_team" in text
    [entry] = wichtel("audit", "--action", "put_team", "--subject", "audited", "--json").data
    assert (entry["principal"], entry["outcome"]) == ("admin", "done")
    assert "teams_put (denied)" in wichtel("audit", "--denied", "--principal", "ana").out
    assert "There are none." in wichtel("audit", "--until", "2001-01-01").err
    assert len(wichtel("audit", "--limit", "2", "--json").data) == 2
    # Others see what they did and what concerns their teams.
    seen = wichtel("audit", "--token", ana, "--limit", "1000", "--json").data
    assert {e["principal"] == "ana" or e["team"] == "ads" or e["subject"] == "ana" for e in seen} == {True}
    wichtel("audit", "--limit", "0", expect=2)
