"""Candidates that leave the service and come back: patches, folders, branches, reruns; with real trainings, through the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wichtel import Client
from wichtel.domain import (
    AlreadyExists,
    Constraint,
    Expectation,
    Experiment,
    ExperimentStatus,
    IllegalTransition,
    Intent,
    InvalidInput,
    NotPermitted,
)
from wichtel.plans import SourceTree
from wichtel.testing.repositories import Repository, environment

# Its metrics depend on the seed, and on the tunable; nothing but numpy has to be imported.
PLAN = """
import numpy
from wichtel import plan, tunable

class Shares:
    def __init__(self, depth, random_state=0):
        self.depth, self.random_state = depth, random_state
    def get_params(self, deep=True):
        return {"depth": self.depth, "random_state": self.random_state}
    def set_params(self, **values):
        vars(self).update(values)
        return self
    def fit(self, x, y):
        luck = numpy.random.default_rng(self.random_state).normal(0, 0.02, 8)
        n = numpy.array([(x[:, 0] == b).sum() for b in range(8)])
        late = numpy.array([y[x[:, 0] == b].sum() for b in range(8)])
        self.shares_ = numpy.clip((late + 8 / self.depth) / (n + 16 / self.depth) + luck, 0, 1)
    def predict(self, x):
        return self.predict_proba(x)[:, 1] > 0.5
    def predict_proba(self, x):
        p = self.shares_[x[:, 0].astype(int)]
        return numpy.stack([1 - p, p], axis=1)

plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Categorical("city", buckets=8), plan.Numeric("size")])
model = Shares(tunable.Int("depth", default=1, min=1, max=9))
"""


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[Client]:
    with Client(service.url, service.token) as made:
        made.datasets.add("d", [service.folder / "d.csv"], "t")
        (service.folder / "plan/plan.py").write_text(PLAN)
        made.models.add("rep/shares", service.folder / "plan")
        constraint = Constraint(metric="auc", expectation=Expectation.LARGER, threshold=-0.9)
        made.intents.put(Intent(name="lenient", models="rep/*", constraints=(constraint,), primary="auc"))
        yield made


def run(client: Client, protocol: str, model: str = "rep/shares", **more: Any) -> Experiment:
    made = client.register([model], [protocol], intent="lenient", overrides={"replicates": 1, "seed": 5}, **more)
    return finished(client, made.experiments[0])


def finished(client: Client, experiment: str) -> Experiment:
    [found] = client.experiments.wait(experiment, timeout_seconds=240)
    assert found.status is ExperimentStatus.SATISFIED, found.cause
    return found


@pytest.fixture(scope="module")
def deeper(client: Client) -> Experiment:
    """An experiment whose candidate has other code."""
    return run(client, "SetHyperparameters", parameters={"values": {"depth": 6}})


@pytest.fixture
def repository(tmp_path: Path, service: Any, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """One that holds the model in a folder, beside other things."""
    for name, value in environment().items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)
    made = Repository(tmp_path / "repository")
    files = SourceTree.from_folder(service.folder / "plan").files
    made.commit({"README": b"models\n", **{f"models/forest/{path}": content for path, content in files.items()}})
    return made


def quality(metrics: dict[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in ("auc", "log_loss", "accuracy", "calibration_error")}


def test_a_patch_applied_with_git_and_trained_again_gives_the_candidates_metrics(
    client: Client, deeper: Experiment, repository: Repository
) -> None:
    assert deeper.result is not None
    assert quality(deeper.result.candidate_metrics) != quality(deeper.result.baseline_metrics)
    patch = client.experiments.patch(deeper.id, prefix="models/forest")
    repository.git("apply", "-", data=patch.encode())
    assert b"tunable.Set" in (repository.folder / "models/forest/plan.py").read_bytes()
    version = client.models.add("rep/patched", repository.folder / "models/forest")
    assert version.tree == client.models.version(deeper.result.candidate).tree
    again = run(client, "TrainModel", "rep/patched")
    assert again.result is not None
    assert quality(again.result.candidate_metrics) == quality(deeper.result.candidate_metrics)


def test_a_patch_is_a_commit_with_the_verdict(client: Client, deeper: Experiment, repository: Repository) -> None:
    repository.git("am", "-q", data=client.experiments.patch(deeper.id, prefix="models/forest").encode())
    said = repository.git("log", "-1", "--format=%an%n%B").decode()
    assert said.startswith("Wichtel\nrep/shares: ")
    assert "SATISFIED for intent lenient:\n* HOLDS: auc at most 0.9 smaller: a change of" in said
    assert f"Wichtel-Experiment: {deeper.id}" in said


def test_a_branch_has_what_the_patch_has(client: Client, deeper: Experiment, repository: Repository) -> None:
    made = client.experiments.branch(deeper.id, repository.folder, path="models/forest")
    assert made.branch == f"wichtel/{deeper.id}"
    assert deeper.result is not None
    files = SourceTree.from_archive(client.models.source(deeper.result.candidate)).files
    assert repository.files(made.commit) == {"README": b"models\n", **{f"models/forest/{path}": content for path, content in files.items()}}
    with pytest.raises(IllegalTransition, match=r"job\.toml is not there"):
        client.experiments.branch(deeper.id, repository.folder, name="other")


def test_a_folder_describes_itself(client: Client, deeper: Experiment, tmp_path: Path) -> None:
    folder = client.experiments.folder(deeper.id, tmp_path / "pr", prefix="models/forest")
    assert {p.name for p in folder.iterdir()} == {"DESCRIPTION.md", "candidate.patch", "message.txt", "experiment.json", "tree"}
    assert deeper.result is not None
    tree = SourceTree.from_folder(folder / "tree/models/forest")
    assert tree.digest == client.models.version(deeper.result.candidate).tree
    text = (folder / "DESCRIPTION.md").read_text()
    for words in (
        "**SATISFIED** for intent `lenient`: 1 of 1 constraints hold",
        "| HOLDS | auc at most 0.9 smaller |",
        "- changes `plan.py`",
        "| `train_cpu_seconds` |",
        f"`{deeper.target}`",
        f"wichtel experiments rerun {deeper.id}",
        "wichtel run TrainModel rep/shares --set seed=5 --set replicates=1",
        "432 examples",
        "| `seed` | `5` | user |",
    ):
        assert words in text, words
    assert json.loads((folder / "experiment.json").read_text())["id"] == deeper.id
    with pytest.raises(AlreadyExists):
        client.experiments.folder(deeper.id, tmp_path / "pr")


def test_what_has_no_candidate_or_no_change_is_not_handed_over(client: Client, deeper: Experiment, tmp_path: Path) -> None:
    same = run(client, "TrainModel")
    with pytest.raises(IllegalTransition, match="nothing to hand over"):
        client.experiments.patch(same.id)
    canceled = client.register(["rep/shares"], ["TrainModel"], intent="lenient")
    client.experiments.cancel(canceled.experiments[0])
    with pytest.raises(IllegalTransition, match="It ended as CANCELED"):
        client.experiments.folder(canceled.experiments[0], tmp_path / "none")
    with pytest.raises(InvalidInput, match="no folder of a repository"):
        client.experiments.patch(deeper.id, prefix="../..")


def test_a_rerun_repeats_the_experiment(client: Client, service: Any, deeper: Experiment) -> None:
    again = client.experiments.rerun(deeper.id)
    assert again.config.rerun_of == deeper.id
    assert (again.target, again.protocol, again.config.parameters, again.config.seed) == (
        deeper.target,
        deeper.protocol,
        deeper.config.parameters,
        5,
    )
    assert again.registration != deeper.registration
    found = finished(client, again.id)
    assert found.result is not None
    assert deeper.result is not None
    assert quality(found.result.candidate_metrics) == quality(deeper.result.candidate_metrics)
    assert found.result.verdict.findings == deeper.result.verdict.findings
    table = client.experiments.compare([deeper.id, again.id], reference=deeper.id)
    auc = table.comparison.experiments[1].metrics["auc"].to_reference
    assert auc is not None
    assert auc.delta == 0
    assert table.comparison.warnings == ()
    frame = table.to_dataframe()
    assert list(frame.index) == [deeper.id, again.id]
    assert frame["auc.low"].notna().all()
    assert frame["log_loss.low"].notna().all(), "also metrics without a constraint have an interval"
    assert deeper.id in table._repr_html_()
    with Client(service.url, client.tokens.create("rep-viewer", role="viewer")) as viewer, pytest.raises(NotPermitted):
        viewer.experiments.rerun(deeper.id)


def test_a_rerun_may_have_other_luck_and_another_start(client: Client, deeper: Experiment, service: Any, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    SourceTree.from_folder(service.folder / "plan").with_files({"note.txt": b"changed"}).write_to(plan)
    head = client.models.add("rep/shares", plan).id
    try:
        again = client.experiments.rerun(deeper.id, on="head", seed="fresh")
        assert again.target == head != deeper.target
        assert again.config.seed != 5
        assert again.config.origin["seed"] == "rerun"
        client.experiments.cancel(again.id)
        SourceTree.from_folder(service.folder / "plan").with_files({"plan.py": PLAN.replace('"depth"', '"height"').encode()}).write_to(plan)
        client.models.add("rep/shares", plan)
        with pytest.raises(InvalidInput, match="no tunable 'depth'"):
            client.experiments.rerun(deeper.id, on="head")
        assert client.experiments.rerun(deeper.id).target == deeper.target
    finally:
        client.models.launch("rep/shares", deeper.target)
