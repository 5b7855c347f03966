from __future__ import annotations

import pytest

from wichtel.domain import Expectation, Float, InvalidInput, NotPermitted, Objective, Space, StudySpec
from wichtel.experiments import Access, Models, Principal, Role, Studies
from wichtel.store import Artifacts, Database

ANA = Principal(name="ana", team="ads", role=Role.EDITOR)


def study(**other: object) -> StudySpec:
    given = {"id": "s-1", "name": "s", "entry": "m:f", "space": Space({"x": Float(0, 1)})}
    return StudySpec(**{**given, "objectives": (Objective(metric="loss", better=Expectation.SMALLER),), **other})


def test_the_first_token_is_an_admins_and_is_given_once(database: Database) -> None:
    access = Access(database)
    token = access.initialise()
    assert token is not None
    assert access.authenticate(token).role is Role.ADMIN
    assert access.initialise() is None


def test_a_token_that_nobody_gave_is_refused(database: Database) -> None:
    with pytest.raises(NotPermitted, match="not valid"):
        Access(database).authenticate("wt_guess")


def test_only_an_admin_makes_tokens_and_each_is_as_good_as_its_role(database: Database) -> None:
    access = Access(database)
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
