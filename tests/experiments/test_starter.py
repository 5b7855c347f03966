"""Who waits is started a moment after something lets it go on, whoever did that and wherever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wichtel.domain import ExperimentState, ExperimentStatus, QuotaGroup, SystemFault
from wichtel.experiments import Principal, Quotas, Role
from wichtel.experiments.ending import CLEAN_UP, end
from wichtel.experiments.starter import Starter
from wichtel.store import Database
from wichtel.workflows import Graph, Handler, InlineWorkflows, Step

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ADMIN = Principal(name="root", team="default", role=Role.ADMIN)


@pytest.fixture
def workflows() -> InlineWorkflows:
    graph = Graph("protocol/P", (Step("work", lambda ctx, inputs: None),))
    return InlineWorkflows(graphs=[graph], handlers=[Handler(CLEAN_UP, lambda ctx, data: None)])


@pytest.fixture
def starter(database: Database, workflows: InlineWorkflows) -> Iterator[Starter]:
    starter = Starter(database, workflows, default_share=1, poll_seconds=0.01)
    starter.start()
    yield starter
    starter.stop()


def started(db: Database, name: str, *, within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with db.read() as tx:
            if tx.experiments.get(name).state is ExperimentState.IN_PROGRESS:
                return True
        time.sleep(0.01)
    return False


@pytest.fixture
def waiting(database: Database, finished, add) -> Callable[..., None]:
    def enqueue(*names: str) -> None:
        fresh = {"state": ExperimentState.ENQUEUED, "status": None, "generation": 0}
        ended = [finished(name, created=NOON + timedelta(seconds=i)) for i, name in enumerate(names)]
        add(database, *(replace(e, **fresh, cause="", started=None, began=None, finished=None, result=None) for e in ended))

    return enqueue


def test_who_registers_is_started_and_the_next_when_that_has_ended(database, starter, workflows, waiting) -> None:
    waiting("first", "second")
    assert started(database, "first")
    assert not started(database, "second", within=0.2)
    with database.transaction() as tx:
        end(workflows, tx, "first", ExperimentStatus.CANCELED, "no longer wanted")
    assert started(database, "second")


def test_a_larger_share_and_the_end_of_a_pause_let_who_waits_go_on(database, starter, waiting) -> None:
    quotas = Quotas(database, default_share=1)
    quotas.pause("ads", "maintenance", ADMIN)
    waiting("first", "second")
    assert not started(database, "first", within=0.2)
    quotas.resume("ads", ADMIN)
    assert started(database, "first")
    assert not started(database, "second", within=0.2)
    quotas.put(QuotaGroup(name="ads", max_in_progress=2), ADMIN)
    assert started(database, "second")


def test_a_look_that_fails_is_tried_again(database, workflows, waiting, caplog) -> None:
    refused = iter([True])

    class Away(Starter):
        def look(self) -> list[str]:
            if next(refused, False):
                raise SystemFault("the database is away.")
            return super().look()

    waiting("first")
    starter = Away(database, workflows, default_share=1, poll_seconds=0.01)
    starter.start()
    try:
        assert started(database, "first")
    finally:
        starter.stop()
    assert "the database is away" in caplog.text
