from dataclasses import replace
from datetime import timedelta

import pytest

from wichtel.domain import (
    BUILT_IN_INTENTS,
    AlreadyExists,
    Analysis,
    Constraint,
    Dataset,
    Float,
    IllegalTransition,
    Intent,
    InvalidInput,
    Job,
    Measurement,
    Metadata,
    Model,
    ModelVersion,
    NotFound,
    Objective,
    QuotaGroup,
    Registration,
    RunSpec,
    RunState,
    Space,
    StudySpec,
    StudyState,
    Trial,
    Window,
    choose_intent,
)
from wichtel.store import codec


def test_models_and_versions(database):
    with database.transaction() as tx:
        for name, owner in (("b/Two", "you"), ("a/one", "me"), ("c_x", "me")):
            tx.models.add(Model(name=name, owner=owner, team="t", head="v0", created=tx.now))
        with pytest.raises(AlreadyExists, match="b/Two"):
            tx.models.add(Model(name="b/Two", owner="other", team="t", head="", created=tx.now))
        window = Window(start=tx.now, end=tx.now + timedelta(days=1))
        job = Job(dataset="d", label="y", train=window, evaluation=Window(start=window.end, end=window.end + timedelta(days=1)))
        analysis = Analysis(trainer="sklearn", features=(), tunables=(), metadata=Metadata(primary_metric="auc", better="larger"), job=job)
        first = ModelVersion(id="v1", model="a/one", tree="t", analysis=analysis, created=tx.now)
        assert tx.versions.add(first)
        assert not tx.versions.add(first)
        tx.versions.add(replace(first, id="v2", parent="v1", created=tx.now + timedelta(seconds=1)))
        tx.models.set_head("a/one", "v2")
    with database.read() as tx:
        assert [m.name for m in tx.models.list()] == ["a/one", "b/Two", "c_x"]
        assert [m.name for m in tx.models.list(owner="me", limit=1, after="a/one")] == ["c_x"]
        assert [m.name for m in tx.models.list(contains="tw")] == ["b/Two"]
        assert [m.name for m in tx.models.list(contains="_")] == ["c_x"]
        assert tx.models.get("a/one").head == "v2"
        assert tx.models.find("nope") is None
        with pytest.raises(NotFound, match="Did you mean 'a/one'"):
            tx.models.get("a/on")
        assert tx.versions.get("v1") == first
        assert [v.id for v in tx.versions.list("a/one")] == ["v1", "v2"]
        with pytest.raises(NotFound, match="model version"):
            tx.versions.get("x")
        # By what their heads learn from.
        assert tx.versions.of_heads()["a/one"] == "v2"
        assert tx.versions.datasets_of(["v2", "nothing"]) == {"v2": "d"}
    with database.transaction() as tx:
        tx.models.set_archived("a/one", tx.now)
        assert "a/one" not in tx.versions.of_heads()
    with pytest.raises(NotFound), database.transaction() as tx:
        tx.models.set_head("a/on", "v")


def test_datasets(database):
    with database.transaction() as tx:
        dataset = Dataset(name="d", digest="0", time_column="t", columns={"t": "ts"}, rows=2**40, start=tx.now, end=tx.now, created=tx.now)
        tx.datasets.add(dataset)
        with pytest.raises(AlreadyExists):
            tx.datasets.add(dataset)
    with database.read() as tx:
        assert tx.datasets.list() == [dataset] == [tx.datasets.get("d")]
        with pytest.raises(NotFound, match="dataset"):
            tx.datasets.get("e")


def test_intents_with_those_that_are_built_in(database):
    mine = Intent(name="improve_quality", models="ads/*", primary="auc", constraints=(Constraint(metric="auc", expectation="larger"),))
    with database.transaction() as tx:
        tx.intents.put(mine, "me")
        tx.intents.put(replace(mine, help="better"), "me")
        with pytest.raises(AlreadyExists, match="built in"):
            tx.intents.put(replace(mine, models="*"), "me")
        assert tx.intents.list() == [*BUILT_IN_INTENTS, replace(mine, help="better")]
        known = tx.intents.by_name_and_pattern()
        assert choose_intent("improve_quality", "ads/x", known).models == "ads/*"
        assert choose_intent("improve_quality", "x", known) is BUILT_IN_INTENTS[0]
        tx.intents.delete("improve_quality", "ads/*")
        with pytest.raises(NotFound):
            tx.intents.delete("improve_quality", "ads/*")
        with pytest.raises(AlreadyExists, match="stays"):
            tx.intents.delete("improve_quality")


def test_quota_groups_and_registrations(database):
    with database.transaction() as tx:
        assert tx.quota_groups.get("t") == QuotaGroup(name="t")
        tx.quota_groups.put(QuotaGroup(name="t", max_in_progress=1))
        tx.quota_groups.put(QuotaGroup(name="t", max_in_progress=9))
        assert tx.quota_groups.list() == [QuotaGroup(name="t", max_in_progress=9)]
        registration = Registration(id="r", owner="me", models=("m",), protocols=("p",), experiments=("e",), created=tx.now)
        tx.registrations.add(registration)
        assert tx.registrations.get("r") == registration
        assert tx.registrations.cancel("r")
        assert not tx.registrations.cancel("r")
        assert tx.registrations.get("r").canceled == tx.now
        with pytest.raises(NotFound):
            tx.registrations.cancel("q")


def test_runs_are_submitted_once_and_in_order(database):
    with database.transaction() as tx:
        assert tx.runs.add_many([RunSpec(id=f"s/{i}", entry="m:f", owner="study/s", priority=int(i == 9)) for i in range(12)]) == 12
        assert tx.runs.add_many([RunSpec(id="s/1", entry="m:f"), RunSpec(id="t/1", entry="m:f")]) == 1
        assert not tx.runs.add(RunSpec(id="s/1", entry="other:f"))
        assert tx.runs.add_many([]) == 0
    with database.read() as tx:
        order = [f"s/{i}" for i in range(12)]
        assert [r.spec.id for r in tx.runs.list(owner="study/s")] == order
        assert [r.spec.id for r in tx.runs.list(prefix="s/1", limit=2, after="s/1")] == ["s/10", "s/11"]
        assert [r.spec.id for r in tx.runs.claimable(3)] == ["s/9", "s/0", "s/1"]
        assert tx.runs.get("s/1").spec == RunSpec(id="s/1", entry="m:f", owner="study/s", priority=0)
        assert tx.runs.get("t/1").created == tx.runs.get("t/1").created.astimezone(tx.now.tzinfo)
        with pytest.raises(NotFound, match="run"):
            tx.runs.get("s/99")


def test_what_has_ended_or_gone_on_ignores_late_words(database):
    with database.transaction() as tx:
        tx.runs.add_many([RunSpec(id=name, entry="m:f") for name in "abc"])
    with database.transaction() as tx:
        a, b, c = tx.runs.list()
        at = tx.now
        done = replace(a, state=RunState.SUCCEEDED, attempt=2, worker="w", result={"loss": float("inf")}, started=at, ended=at)
        running = replace(b, state=RunState.RUNNING, attempt=3, started=at)
        assert tx.runs.update_many([done, running]) == 2
        assert tx.runs.update_many([replace(done, state=RunState.FAILED), replace(running, attempt=2, worker="late")]) == 0
        assert tx.runs.update_many([replace(running, state=RunState.PREEMPTED), replace(running, attempt=2)]) == 1
        assert tx.runs.update_many([]) == 0
    with database.read() as tx:
        assert tx.runs.get("a") == done
        assert tx.runs.get("b") == replace(running, state=RunState.PREEMPTED)
        assert [r.spec.id for r in tx.runs.claimable()] == ["b", "c"]
        assert [r.spec.id for r in tx.runs.list(state=[RunState.SUCCEEDED, RunState.PENDING])] == ["a", "c"]
        assert tx.runs.list(state=RunState.PENDING) == [c]


def test_learning_curves_have_one_point_a_step_of_the_latest_attempt(database):
    def said(attempt, step, loss):
        return Measurement(run="s/1", attempt=attempt, step=step, metrics={"loss": loss})

    with database.transaction() as tx:
        tx.runs.add_many([RunSpec(id="s/1", entry="m:f", owner="study/s"), RunSpec(id="x", entry="m:f", owner="study/t")])
        assert tx.measurements.add_many([said(1, 1, 0.5), said(1, 2, 0.4), said(1, 3, float("inf"))]) == 3
        assert tx.measurements.add_many([said(1, 3, 9.0), said(2, 3, 0.3), said(2, 10, 0.2)]) == 2
        tx.measurements.add_many([Measurement(run="x", attempt=1, step=1, metrics={})])
    with database.read() as tx:
        curve = [said(1, 1, 0.5), said(1, 2, 0.4), said(2, 3, 0.3), said(2, 10, 0.2)]
        assert tx.measurements.of_run("s/1") == curve
        assert list(tx.measurements.curves("study/s")) == curve
        assert tx.measurements.of_run("none") == []


def test_studies_and_trials(database):
    spec = StudySpec(
        id="s-1", name="mine", space=Space({"x": Float(0, 1)}), objectives=(Objective(metric="loss", better="smaller"),), entry="m:f"
    )
    with database.transaction() as tx:
        assert tx.studies.add(spec)
        assert not tx.studies.add(spec)
        with pytest.raises(AlreadyExists, match="'mine'"):
            tx.studies.add(replace(spec, id="s-2"))
        with pytest.raises(InvalidInput, match="a trial of study 's-1'"):
            tx.studies.add(replace(spec, id="s-1/3", name="third"))
        tx.studies.add(replace(spec, id="s-3", name="other"))
        assert tx.studies.by_name("mine").spec == spec
        assert tx.studies.by_name("x") is None
        assert tx.studies.called("mine") == tx.studies.called("s-1") == tx.studies.get("s-1")
        assert (tx.studies.id_of("mine"), tx.studies.id_of("s-3")) == ("s-1", "s-3")
        tx.studies.add(replace(spec, id="s-4", name="s-3"))
        assert tx.studies.id_of("s-3") == tx.studies.called("s-3").spec.id == "s-4", "a name goes before an id"
        with pytest.raises(NotFound, match="no study 's-5'"):
            tx.studies.called("s-5")
        assert tx.studies.set_state("s-1", StudyState.RUNNING)
        assert not tx.studies.set_state("s-1", StudyState.RUNNING)
        assert tx.studies.set_state("s-1", StudyState.FINISHED, "all trials done")
        with pytest.raises(IllegalTransition, match="s-1"):
            tx.studies.set_state("s-1", StudyState.RUNNING)
        study = tx.studies.get("s-1")
        assert (study.state, study.reason, study.started, study.ended) == (StudyState.FINISHED, "all trials done", tx.now, tx.now)
        assert [s.spec.id for s in tx.studies.list(state=[StudyState.PENDING, StudyState.RUNNING])] == ["s-4", "s-3"]
        trials = [Trial(study="s-1", number=i, config={"x": 0.5}, created=tx.now) for i in (10, 9)]
        tx.trials.put_many(trials)
        tx.trials.put_many([replace(trials[0], state=RunState.STOPPED, metrics={"loss": float("-inf")}), trials[1]])
        assert [(t.number, t.state) for t in tx.trials.of_study("s-1")] == [(9, RunState.PENDING), (10, RunState.STOPPED)]
        assert tx.trials.of_study("s-1")[1].metrics == {"loss": float("-inf")}
        for page, written in (
            (tx.trials.page("s-1", limit=1), tx.trials.page_written("s-1", limit=1)),
            (tx.studies.page(), tx.studies.page_written()),
        ):
            assert [bytes(raw) for raw in written.items] == [codec.encode(item) for item in page.items] != []
            assert written.cursor == page.cursor
    with database.read() as tx:
        assert [e.kind for e in tx.events.since(subject_prefix="study/s-1")] == ["study.running", "study.finished"]


def test_principals_tokens_and_the_audit_log(database):
    with database.transaction() as tx:
        ada = tx.principals.add("ada", role="admin")
        with pytest.raises(AlreadyExists):
            tx.principals.add("ada")
        tx.tokens.add("ada", "h1", ["runs:write"])
        tx.tokens.add("ada", "h2", expires=tx.now)
        with pytest.raises(NotFound, match="Did you mean 'ada'"):
            tx.tokens.add("ad", "h3")
        token = tx.tokens.by_hash("h1")
        assert (token.principal, token.scopes, token.expires) == (ada, ("runs:write",), None)
        assert tx.tokens.by_hash("h2") is None
        assert tx.tokens.by_hash("h3") is None
        tx.tokens.revoke("h1")
        assert tx.tokens.by_hash("h1") is None
        for action in ("a", "b", "c"):
            tx.audit.add("ada", action, "model/x", {"n": 1})
        newest = tx.audit.list(principal="ada", limit=2)
        assert [entry.action for entry in newest] == ["c", "b"]
        assert [entry.action for entry in tx.audit.list(subject="model/x", before=newest[-1].number)] == ["a"]
