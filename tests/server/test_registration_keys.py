"""A registration is known by its key for as long as it exists."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from wichtel.plans import SourceTree


@pytest.fixture
def request_(api: Any, service: Any) -> dict[str, Any]:
    """Models and protocols that fit."""
    files = [str(service.folder / "d.csv")]
    if not api("GET", "/v1/datasets")["items"]:
        api("POST", "/v1/datasets", 201, json={"name": "d", "files": files, "time_column": "t"})
    source = SourceTree.from_folder(service.folder / "plan").to_archive()
    for name in ("keys/one", "keys/two"):
        api("PUT", f"/v1/models/{name}", 201, content=source)
    api("PUT", "/v1/quota-groups", json={"name": "default", "max_in_progress": 0})
    return {"models": ["keys/one"], "protocols": [{"protocol": "TrainModel"}]}


def forget_answers(service: Any) -> None:
    """As after a day."""
    with service.app.db.transaction() as tx:
        tx.connection.execute(sa.text("DELETE FROM idempotency"))


@pytest.mark.parametrize("place", ["header", "body"])
def test_the_same_key_is_the_same_registration_also_when_its_answer_is_forgotten(
    api: Any, service: Any, request_: dict[str, Any], place: str
) -> None:
    key = f"night-{place}"
    given = {"headers": {"Idempotency-Key": key}, "json": request_} if place == "header" else {"json": {**request_, "idempotency_key": key}}
    made = api("POST", "/v1/registrations", 201, **given)
    forget_answers(service)
    assert api("POST", "/v1/registrations", 201, **given) == made
    forget_answers(service)
    # In the other place it means the same.
    other = {"json": {**request_, "idempotency_key": key}} if place == "header" else {"headers": {"Idempotency-Key": key}, "json": request_}
    assert api("POST", "/v1/registrations", 201, **other) == made
    forget_answers(service)
    given["json"] = {**given["json"], "models": ["keys/two"]}
    problem = api("POST", "/v1/registrations", 422, **given)
    assert made["id"] in problem["message"]
    assert problem["where"] == "idempotency_key"


def test_somebody_elses_key_is_another_registration(api: Any, request_: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "shared"}
    mine = api("POST", "/v1/registrations", 201, json=request_, headers=headers)
    token = api("POST", "/v1/tokens", 201, json={"name": "keys-eva", "role": "editor", "team": "default"})["token"]
    theirs = api("POST", "/v1/registrations", 201, json=request_, headers={**headers, "Authorization": f"Bearer {token}"})
    assert theirs["id"] != mine["id"]
