"""The client against a real service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from wichtel import Client, Float, Space
from wichtel.domain import (
    AlreadyExists,
    Constraint,
    ExperimentState,
    ExperimentStatus,
    IllegalTransition,
    Intent,
    InvalidInput,
    NotFound,
    NotPermitted,
    Objective,
    PlanError,
    QuotaGroup,
    StudySpec,
    WichtelError,
)


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[Client]:
    with Client(service.url, service.token) as made:
        yield made


@pytest.fixture(scope="module")
def model(client: Client, service: Any) -> str:
    """A model that is registered."""
    if all(d.name != "d" for d in client.datasets.list()):
        client.datasets.add("d", [service.folder / "d.csv"], "t")
    client.models.add("client/one", service.folder / "plan")
    return "client/one"


def test_what_is_added_is_there(client: Client, model: str) -> None:
    head = client.models.get(model).head
    assert [v.id for v in client.models.versions(model)] == [head]
    version = client.models.version(head)
    assert version.analysis.metadata.primary_metric == "auc"
    assert client.models.source(head)[:2] == b"PK"
    assert model in [m.name for m in client.models.list(contains="client/")]
    assert client.datasets.get("d").rows == 432


def test_a_name_that_is_taken_can_be_refused(client: Client, model: str, service: Any) -> None:
    with pytest.raises(AlreadyExists, match="client/one"):
        client.models.add(model, service.folder / "plan", new=True)
    with pytest.raises(AlreadyExists):
        client.datasets.add("d", [service.folder / "d.csv"], "t")


def test_errors_are_those_that_the_service_raised(client: Client, model: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="client/two") as caught:
        client.models.get("client/two")
    assert caught.value.hint == "Did you mean 'client/one'?"
    with pytest.raises(PlanError, match="no such folder"):
        client.models.add("client/bad", tmp_path / "none")
    with pytest.raises(InvalidInput, match="weihgt"):
        client.register([model], ["SetHyperparameters"], parameters={"values": {"weihgt": 2}})
    with pytest.raises(NotFound, match="Did you mean 'TrainModel'"):
        client.register([model], ["TrainModl"])
    with pytest.raises(InvalidInput, match="no field 'replicas'"):
        client.register([model], ["TrainModel"], overrides={"replicas": 2})


def test_a_plan_that_does_not_load_is_told(client: Client, service: Any, tmp_path: Path) -> None:
    (tmp_path / "plan.py").write_text("import no_such_package\n")
    (tmp_path / "job.toml").write_text((service.folder / "plan/job.toml").read_text())
    with pytest.raises(PlanError, match="no_such_package"):
        client.models.add("client/bad", tmp_path)
    with pytest.raises(NotFound):
        client.models.get("client/bad")


def test_without_rights(service: Any, client: Client) -> None:
    with Client(service.url, "wrong") as stranger, pytest.raises(NotPermitted, match="not valid"):
        stranger.models.list()
    with Client(service.url, client.tokens.create("client-viewer", role="viewer")) as viewer:
        assert viewer.models.list() is not None
        with pytest.raises(NotPermitted, match="viewer"):
            viewer.quota_groups.put(QuotaGroup(name="x"))


def test_an_experiment_from_registration_to_verdict(client: Client, model: str) -> None:
    intent = Intent(name="client", primary="auc", constraints=(Constraint(metric="auc", expectation="larger", threshold=-0.5),))  # type: ignore[arg-type]
    assert client.intents.put(intent) == intent
    assert client.intents.get("client", model) == intent
    request = {"models": [model], "protocols": [{"protocol": "TrainModel", "intent": "client"}]}
    foreseen = client.registrations.preview({**request, "skip_unfit": True}, forecast="each")
    assert [(e.config.intent, outlook.cost.trainings) for e, outlook in zip(foreseen.items, foreseen.forecasts, strict=True)] == [
        (intent, 2 - foreseen.forecasts[0].cost.known)
    ]
    assert [need.constraint for need in foreseen.forecasts[0].needs] == [*intent.constraints]
    made = client.register([model], ["TrainModel"], intent="client", idempotency_key="client")
    assert client.register([model], ["TrainModel"], intent="client", idempotency_key="client") == made
    assert client.registrations.get(made.id) == made
    states = [found[0].state for found in client.experiments.watch(made.experiments)]
    assert states[-1] is ExperimentState.FINISHED
    [experiment] = client.experiments.wait(made.experiments)
    assert experiment.status is ExperimentStatus.SATISFIED, experiment.cause
    assert experiment.result is not None
    assert experiment.result.verdict.findings[0].constraint == intent.constraints[0]
    mine = f"registration:{made.id}"
    assert client.experiments.search(f"{mine} status:SATISFIED created>=today") == [experiment]
    assert client.experiments.search(f"{mine} created<{experiment.created.isoformat()}") == []
    assert list(client.experiments.each(mine, sort="-duration")) == [experiment]
    assert client.experiments.rows(mine, ["id", "config.intent.name"]) == [
        {"id": experiment.id, "config": {"intent": {"name": experiment.config.intent.name}}}
    ]
    assert client.experiments.count(mine) == 1
    assert [r.id for r in client.registrations.list(limit=1)] == [made.id]
    assert {s.state for s in client.experiments.steps(experiment.id)} == {"SUCCEEDED"}
    assert client.experiments.diff(experiment.id) == "", "it was trained again, unchanged"
    with pytest.raises(IllegalTransition):
        client.experiments.cancel(experiment.id)
    kinds = [e.kind for e in client.events.list(subject=f"experiment/{experiment.id}")]
    followed = [e.kind for e in islice(client.events.follow(subject=f"experiment/{experiment.id}"), len(kinds))]
    assert followed == kinds
    runs = client.runs.list(limit=None)
    assert client.runs.get(runs[0].spec.id) == runs[0]
    client.intents.delete("client")
    with pytest.raises(NotFound):
        client.intents.delete("client")


def test_waiting_can_end_early(client: Client, model: str) -> None:
    client.quota_groups.put(QuotaGroup(name="nobody", max_in_progress=0))
    assert QuotaGroup(name="nobody", max_in_progress=0) in client.quota_groups.list()
    client.quota_groups.put(QuotaGroup(name="default", max_in_progress=0))
    try:
        made = client.register([model], ["TrainModel"])
        with pytest.raises(TimeoutError):
            client.experiments.wait(made.experiments, timeout_seconds=0.1)
        assert client.queue.why(made.experiments[0]).text.startswith("Its group default is full: 0 of 0 in progress")
        assert made.experiments[0] in [w.experiment for w in client.queue.get(group="default").items]
        assert client.registrations.cancel(made.id).canceled is not None
        [experiment] = client.experiments.wait(made.experiments)
        assert experiment.status is ExperimentStatus.CANCELED
    finally:
        client.quota_groups.put(QuotaGroup(name="default", max_in_progress=4))


def test_studies(client: Client) -> None:
    spec = StudySpec(
        id="s-client",
        name="client",
        space=Space({"x": Float(0, 1)}),
        objectives=(Objective(metric="loss", better="smaller"),),  # type: ignore[arg-type]
        entry="no.such.module:function",
        trials=1,
    )
    assert client.studies.add(spec).spec.space == spec.space
    with pytest.raises(AlreadyExists):
        client.studies.add(spec)
    assert client.studies.get("client").spec.id == "s-client"
    assert "s-client" in [s.spec.id for s in client.studies.list()]
    while not client.studies.get("client").state.ended:
        time.sleep(0.05)
    with pytest.raises(IllegalTransition):
        client.studies.cancel("client")
    assert [t.number for t in client.studies.trials("client")] == [0]


def test_lists_come_whole_though_in_pages(client: Client, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with service.app.db.transaction() as tx:
        for number in range(5):
            tx.events.add("client.paged", "client/paged", {"number": number})
    after, numbers = 0, []
    while found := client.events.list(subject="client/paged", after=after, limit=2):
        numbers += [e.data["number"] for e in found]
        after = found[-1].id
    assert numbers == [0, 1, 2, 3, 4]
    everything = client.runs.list(limit=None)
    assert client.runs.list(limit=2) == everything[:2]


def test_every_error_is_a_wichtel_error(client: Client) -> None:
    for call in (
        client.experiments.get,
        client.registrations.get,
        client.runs.get,
        client.studies.get,
        client.datasets.get,
        client.runs.log,
    ):
        with pytest.raises(WichtelError):
            call("none")
