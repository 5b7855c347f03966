from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from wichtel.domain import Experiment, ExperimentState, ExperimentStatus, IllegalTransition, InvalidInput, Model, NotPermitted
from wichtel.experiments import Experiments, Principal, ProtocolRequest, RegisterModels, Role
from wichtel.store import Artifacts, Database, Transaction
from wichtel.workflows import InlineWorkflows

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
    service = Together(db, Artifacts(str(tmp_path)), InlineWorkflows(graphs=[], handlers=[]))
    request = RegisterModels(models=("m",), protocols=(ProtocolRequest(protocol="TrainModel"),), idempotency_key="k-1")
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: service.register_models(request, ANA), range(2))
    assert first == second


def test_a_registration_has_an_end() -> None:
    protocols = (ProtocolRequest(protocol="TrainModel"),) * 101
    with pytest.raises(InvalidInput, match="100 models × 101 protocols are 10,100 experiments"):
        RegisterModels(models=tuple(f"m{i}" for i in range(100)), protocols=protocols)


def test_a_canceled_registration_ends_what_waits_and_what_runs_tells_whoever_is_to_hear_and_asks_no_more_of_many_than_of_few(
    world, tmp_path: Path
) -> None:
    service = Experiments(world.db, Artifacts(str(tmp_path)), world.workflows)
    asked: list[str] = []
    sa.event.listen(world.db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    costs = []
    for group, many in (("few", 5), ("many", 200)):
        names = [f"{group}-{i}" for i in range(many)]
        world.add(*names, group=group)
        world.run()
        # One that has ended stays as it ended.
        with world.db.transaction() as tx:
            assert tx.experiments.finish(names[-1], ExperimentStatus.UNSATISFIED, "no gain")
        with pytest.raises(NotPermitted):
            service.cancel_registration(f"r-{names[0]}", Principal(name="bob", team="maps", role=Role.EDITOR))
        asked.clear()
        assert service.cancel_registration(f"r-{names[0]}", ANA).canceled is not None
        costs.append(len(asked))
        ended = [world.get(name) for name in names]
        assert {e.state for e in ended} == {ExperimentState.FINISHED}
        assert [e.status for e in ended] == [ExperimentStatus.CANCELED] * (many - 1) + [ExperimentStatus.UNSATISFIED]
        assert ended[0].cause == "Its registration was canceled by ana."
        world.run()
        assert all(world.workflows.status(f"{name}/run/1").state.ended for name in names if world.get(name).generation)
        with pytest.raises(IllegalTransition, match="canceled already"):
            service.cancel_registration(f"r-{names[0]}", ANA)
    assert costs[1] <= costs[0] + 2
