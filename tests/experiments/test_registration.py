from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from wichtel.domain import Experiment, Model
from wichtel.experiments import Experiments, Principal, ProtocolRequest, RegisterModels, Role
from wichtel.experiments.ending import EXPIRE, SCHEDULE
from wichtel.store import Artifacts, Database, Transaction
from wichtel.workflows import Handler, InlineWorkflows

ANA = Principal(name="ana", team="ads", role=Role.EDITOR)


@pytest.fixture
def db(postgres_url: str) -> Iterator[Database]:
    opened = Database.open(postgres_url, upgrade=True)
    yield opened
    opened.close()


def test_the_same_key_at_the_same_time_is_the_same_registration(db: Database, tmp_path: Path) -> None:
    both = Barrier(2)

    class Together(Experiments):
        def _expand(self, tx: Transaction, request: RegisterModels, identity: str, principal: Principal) -> list[Experiment]:
            # Neither sees what the other is about to add.
            both.wait(10)
            return []

    with db.transaction() as tx:
        tx.models.add(Model(name="m", owner="ana", team="ads", head="v", created=tx.now))
    workflows = InlineWorkflows(graphs=[], handlers=[Handler(name, lambda ctx, data: None) for name in (EXPIRE, SCHEDULE)])
    service = Together(db, Artifacts(str(tmp_path)), workflows)
    request = RegisterModels(models=("m",), protocols=(ProtocolRequest(protocol="TrainModel"),), idempotency_key="k-1")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: service.register_models(request, ANA), range(2))
    assert first == second
