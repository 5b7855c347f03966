"""`wichtel experiments list` with queries."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from wichtel.domain import BUILT_IN_INTENTS, Experiment, ExperimentConfig, Model, QuotaGroup, Registration


@pytest.fixture(scope="module")
def found(service: Any) -> None:
    """Three experiments that wait."""
    with service.app.db.transaction() as tx:
        tx.quota_groups.put(QuotaGroup(name="t", max_in_progress=0))
        tx.models.add(Model(name="search/cli", owner="ana", team="t", head="v", created=tx.now))
        tx.registrations.add(Registration(id="r-cli", owner="ana", models=(), protocols=(), experiments=(), created=tx.now))
        for i, owner in enumerate(("ana", "bo", "=ana")):
            tx.experiments.add(
                Experiment(
                    id=f"e-cli{i}",
                    registration="r-cli",
                    model="search/cli",
                    target="v",
                    protocol="TrainModel",
                    config=ExperimentConfig(intent=BUILT_IN_INTENTS[0]),
                    owner=owner,
                    quota_group="t",
                    created=tx.now + timedelta(seconds=i),
                )
            )


@pytest.mark.usefixtures("found")
def test_queries_orders_fields_and_csv(wichtel: Any) -> None:
    assert [e["id"] for e in wichtel("experiments", "list", "model:search/cli", "NOT", "owner:bo", "--json").data] == ["e-cli2", "e-cli0"]
    said = wichtel("experiments", "list", "registration:r-cli", "--sort", "id", "--owner", "ana", "--fields", "id,config.intent.name")
    assert said.out.split() == ["ID", "CONFIG.INTENT.NAME", "e-cli0", "improve_quality"]
    table = wichtel("experiments", "list", "registration:r-cli", "--sort", "-id", "--limit", "0", "--csv").out
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["id"], row["owner"], row["status"]) for row in rows] == [
        ("e-cli2", "'=ana", ""),
        ("e-cli1", "bo", ""),
        ("e-cli0", "ana", ""),
    ]
    assert wichtel("experiments", "list", "registration:r-cli", "--count", "--json").data == {"count": 3}
    assert "r-cli" in [r["id"] for r in wichtel("registrations", "list", "--owner", "ana", "--json").data]


def test_a_mistake_is_pointed_at(wichtel: Any) -> None:
    said = wichtel("experiments", "list", "owner:ana stattus:SATISFIED", expect=2)
    assert "\n  owner:ana stattus:SATISFIED\n            ^^^^^^^\n" in said.err
    assert "'status'" in said.err
    assert "'verdict'" in wichtel("experiments", "list", "--fields", "result.verdikt", expect=2).err


@pytest.mark.usefixtures("found")
def test_a_search_is_kept_under_a_name(wichtel: Any) -> None:
    wichtel("searches", "save", "CLI's", "model:search/cli", "NOT", "owner:bo", "--sort", "id", "--columns", "id,owner")
    assert [e["id"] for e in wichtel("experiments", "list", "--saved", "CLI's", "--json").data] == ["e-cli0", "e-cli2"]
    assert [e["id"] for e in wichtel("experiments", "list", "owner:ana", "--saved", "CLI's", "--json").data] == ["e-cli0"]
    wichtel("searches", "rename", "CLI's", "Mine")
    [kept] = wichtel("searches", "list", "--json").data
    assert (kept["name"], kept["columns"], kept["sort"]) == ("Mine", ["id", "owner"], "id")
    assert wichtel("searches", "show", "Mine", "--json").data == kept
    assert "'Mine'" in wichtel("searches", "show", "Mind", expect=4).err
    assert wichtel("searches", "share", "Mine", "default", "--json").data["team"] == "default"
    wichtel("searches", "delete", "Mine")
    assert wichtel("searches", "list", "--json").data == []
