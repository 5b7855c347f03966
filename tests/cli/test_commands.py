"""Every command against a service."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

INTENT = """
name = "cli"
primary = "auc"
models = "cli/*"
[[constraints]]
metric = "auc"
expectation = "larger"
threshold = -0.5
"""


@pytest.fixture
def model(wichtel: Any, service: Any) -> str:
    """A model that is registered."""
    if "d" not in [d["name"] for d in wichtel("datasets", "list", "--json").data]:
        wichtel("datasets", "add", "d", service.folder / "d.csv", "--time-column", "t")
    wichtel("models", "add", "cli/one", service.folder / "plan")
    return "cli/one"


def test_datasets(wichtel: Any, model: str) -> None:
    assert "2020-01-01 00:00:00Z" in wichtel("datasets", "list").out
    assert "city: string" in wichtel("datasets", "show", "d").out
    assert wichtel("datasets", "show", "d", "--json").data["rows"] == 432
    said = wichtel("datasets", "show", "e", expect=4)
    assert said.out == ""
    assert "no dataset 'e'" in said.err


def test_models(wichtel: Any, model: str, service: Any) -> None:
    shown = wichtel("models", "show", model)
    assert "weight: int, default 1" in shown.out
    [version] = wichtel("models", "versions", model, "--json").data
    assert version["id"] in wichtel("models", "versions", model).out
    assert wichtel("models", "launch", model, version["id"], "--json").data["head"] == version["id"]
    assert "it has no parent" in wichtel("models", "diff", version["id"], expect=2).err
    assert wichtel("models", "diff", version["id"], version["id"]).out == ""
    assert model in wichtel("models", "list", "--contains", "cli/").out
    assert "already" in wichtel("models", "add", model, service.folder / "plan", "--new", expect=2).err
    assert "plan.py and job.toml" in wichtel("models", "add", "cli/two", "nowhere", expect=2).err


def test_what_a_plan_still_needs(wichtel: Any, model: str, service: Any, tmp_path: Path) -> None:
    assert "SetHyperparameters: ready" in wichtel("models", "status", model).out
    [one] = wichtel("models", "status", model, "--protocol", "TrainModel", "--json").data
    assert (one["protocol"], one["lacks"]) == ("TrainModel", [])
    assert "wichtel protocols list" in wichtel("models", "status", model, "--protocol", "None", expect=4).err

    # A plan without tunables: nothing that sets any can be done with it, and the lines say what would help.
    folder = tmp_path / "fixed"
    shutil.copytree(service.folder / "plan", folder)
    plan = (folder / "plan.py").read_text(encoding="utf-8")
    fixed = re.sub(r"tunable\.\w+\([^)]*\)", "1", plan)
    assert fixed != plan
    (folder / "plan.py").write_text(fixed, encoding="utf-8")
    said = wichtel("models", "check", folder).out
    assert "TrainModel: ready" in said
    assert "SetHyperparameters: needs more" in said
    assert "tunable" in said
    (folder / "plan.py").write_text("def", encoding="utf-8")
    assert "plan.py" in wichtel("models", "check", folder, expect=2).err
    wichtel("models", "show", "fixed", expect=4)


def test_the_source_of_a_version_is_written_to_a_folder(wichtel: Any, model: str, service: Any, tmp_path: Path) -> None:
    head = wichtel("models", "show", model, "--json").data["model"]["head"]
    assert str(tmp_path / "tree") in wichtel("models", "source", head, tmp_path / "tree").out
    for name in ("plan.py", "job.toml"):
        assert (tmp_path / "tree" / name).read_bytes() == (service.folder / "plan" / name).read_bytes()
    assert "it is not empty" in wichtel("models", "source", head, tmp_path / "tree", expect=2).err
    assert "cannot be written" in wichtel("models", "source", head, tmp_path / "tree/plan.py", expect=2).err
    wichtel("models", "source", "v-none", tmp_path / "other", expect=4)
    assert not (tmp_path / "other").exists()


def test_an_archived_model_is_put_away_and_comes_back_as_it_was(wichtel: Any, model: str, service: Any) -> None:
    wichtel("models", "add", "cli/old", service.folder / "plan")
    head = wichtel("models", "show", "cli/old", "--json").data["model"]["head"]
    assert "archived" in wichtel("models", "archive", "cli/old").out
    assert "archived" in wichtel("models", "show", "cli/old").out
    assert "cli/old" not in wichtel("models", "list").out
    [listed] = [m for m in wichtel("models", "list", "--archived", "--json").data if m["name"] == "cli/old"]
    assert listed["archived"]
    assert "archived already" in wichtel("models", "archive", "cli/old", expect=2).err
    for command in (
        ["run", "TrainModel", "cli/old"],
        ["register", "--models", "cli/old", "--protocols", "TrainModel", "--preview"],
        ["models", "add", "cli/old", service.folder / "plan"],
        ["models", "launch", "cli/old", head],
    ):
        assert "wichtel models restore cli/old" in wichtel(*command, expect=2).err
    assert head in wichtel("models", "versions", "cli/old").out
    assert wichtel("models", "restore", "cli/old", "--json").data == {**listed, "archived": None}
    assert "cli/old" in wichtel("models", "list").out
    assert "not archived" in wichtel("models", "restore", "cli/old", expect=2).err
    wichtel("models", "archive", "cli/none", expect=4)
    token = wichtel("tokens", "create", "cli-onlooker", "--role", "viewer").out.strip()
    assert "may not archive the model" in wichtel("models", "archive", "cli/old", "--token", token, expect=5).err


def test_intents(wichtel: Any, tmp_path: Path) -> None:
    (tmp_path / "cli.toml").write_text(INTENT)
    wichtel("intents", "put", "cli.toml")
    assert "auc at most 0.5 smaller (primary)" in wichtel("intents", "show", "cli").out
    assert wichtel("intents", "show", "cli", "--model", "cli/one", "--json").data["models"] == "cli/*"
    assert "improve_quality" in wichtel("intents", "list").out
    assert "cli/*" in wichtel("intents", "list").out
    assert "fits, and no other of its name" in wichtel("intents", "list", "--model", "cli/one").out
    applied = wichtel("intents", "list", "--model", "cli/one", "--json").data
    assert [(a["intent"]["models"], a["instead_of"]) for a in applied if a["intent"]["name"] == "cli"] == [("cli/*", [])]
    assert "cannot name a model" in wichtel("intents", "list", "--model", "no name", expect=2).err
    assert wichtel("intents", "delete", "cli", "--models", "cli/*", "--json").data == {"deleted": "cli"}
    assert "Did you mean" in wichtel("intents", "show", "improve_qualty", expect=4).err
    (tmp_path / "cli.toml").write_text(INTENT.replace("threshold", "treshold"))
    assert "Did you mean 'threshold'?" in wichtel("intents", "put", "cli.toml", expect=2).err
    (tmp_path / "cli.toml").write_text("name =")
    assert "it is not TOML" in wichtel("intents", "put", "cli.toml", expect=2).err
    assert "No such file" in wichtel("intents", "put", "other.toml", expect=2).err


def test_protocols(wichtel: Any) -> None:
    assert "TuneHyperparameters" in wichtel("protocols", "list").out
    assert "values: table, required" in wichtel("protocols", "show", "SetHyperparameters").out
    assert "Did you mean" in wichtel("protocols", "show", "TrainModl", expect=4).err


def test_run_follows_to_the_verdict(wichtel: Any, model: str, tmp_path: Path) -> None:
    (tmp_path / "cli.toml").write_text(INTENT)
    wichtel("intents", "put", "cli.toml")
    said = wichtel("run", "SetHyperparameters", model, "--intent", "cli", "-p", 'values={"weight": 4}', "--set", "seed=3", "--follow")
    experiment = said.out.split()[said.out.split().index("TIME") + 1]
    assert "SATISFIED" in said.out
    assert f"{experiment}  SetHyperparameters on cli/one: SATISFIED" in said.err
    assert f"wichtel experiments diff {experiment}" in said.err
    assert '+    "weight": 4,' in wichtel("experiments", "diff", experiment).out
    shown = wichtel("experiments", "show", experiment)
    assert "holds" in shown.out
    assert "values=weight=4" in shown.out
    assert wichtel("experiments", "show", experiment, "--json").data["config"]["seed"] == 3
    assert "train_candidate" in wichtel("experiments", "steps", experiment).out
    assert experiment in wichtel("experiments", "list", "--status", "satisfied", "--model", "cli", "--since", "2020-01-01").out
    assert "has finished" in wichtel("experiments", "cancel", experiment, expect=2).err
    candidate = wichtel("experiments", "show", experiment, "--json").data["result"]["candidate"]
    assert '+    "weight": 4,' in wichtel("models", "diff", candidate).out
    assert experiment in wichtel("events", "--subject", f"experiment/{experiment}").out
    runs = wichtel("runs", "list", "--state", "succeeded", "--json").data
    run = next(r["spec"]["id"] for r in runs if r["spec"]["id"].startswith(experiment))
    assert "SUCCEEDED" in wichtel("runs", "show", run).out
    assert wichtel("runs", "logs", run, "--json").data["run"] == run
    assert "has ended" in wichtel("runs", "cancel", run, expect=2).err
    assert wichtel("runs", "measurements", run, "--json").data == []
    wichtel("runs", "measurements", "none", expect=4)


def test_a_followed_experiment_that_is_not_satisfied_ends_with_3(wichtel: Any, model: str) -> None:
    said = wichtel("run", "TrainModel", model, "--follow", "--json", expect=3)
    assert [e["status"] for e in said.data] == ["UNSATISFIED"]
    assert "IN_PROGRESS" in said.err


def test_register(wichtel: Any, model: str, tmp_path: Path) -> None:
    wichtel("quotas", "set", "default", "0")
    try:
        (tmp_path / "all.toml").write_text(
            f"""
            models = ["{model}"]
            [[protocols]]
            protocol = "SetHyperparameters"
            parameters = {{values = {{weight = 2}}}}
            [[protocols]]
            protocol = "TrainModel"
            intent = "optimize_resources"
            """
        )
        preview = wichtel("register", "--file", "all.toml", "--set", "replicates=2", "--preview")
        assert "replicates             2 (user)" in preview.out
        assert "optimize_resources (user)" in preview.out
        several = [
            "--models",
            model,
            "--protocols",
            "TrainModel,SetHyperparameters,TrainModel,ReduceTrainingData,TrainModel",
            "--skip-unfit",
        ]
        table = wichtel("register", *several, "--set", "seed=4", "--forecast", "each").out
        assert [line.split()[0] for line in table.splitlines() if model in line].count("TrainModel") == 3
        assert "TRAININGS" in table
        assert "seed=4" in table
        refused = table.partition("Left out:")[2]
        assert f"SetHyperparameters  {model}" in refused
        foreseen = wichtel("register", *several, "--forecast", "together", "--json").data
        assert (len(foreseen["items"]), [r["protocol"] for r in foreseen["refused"]]) == (4, ["SetHyperparameters"])
        assert foreseen["together"]["trainings"] == 8
        assert "together" in wichtel("register", *several, "--forecast", "some", expect=2).err
        made = wichtel("register", "--file", "all.toml", "--json").data
        assert len(made["experiments"]) == 2
        assert "ENQUEUED" in wichtel("registrations", "show", made["id"]).out
        waiting = made["experiments"][0]
        assert "Its group default is full: 0 of 0 in progress" in wichtel("experiments", "why", waiting).out
        assert "there is no experiment" in wichtel("experiments", "why", "e-none", expect=4).err
        assert "0 of 0" in wichtel("queue").out
        assert waiting in wichtel("queue", "--group", "default").out
        assert {w["experiment"] for w in wichtel("queue", "--json").data["items"]} >= set(made["experiments"])
        wichtel("quotas", "pause", "default", "--reason", "repairs")
        assert "was paused by admin: repairs" in wichtel("experiments", "why", waiting).out
        assert "there is no 'DONE'" in wichtel("experiments", "finish", made["experiments"][1], "DONE", "--cause", "so", expect=2).err
        ended = wichtel("experiments", "finish", made["experiments"][1], "user_error", "--cause", "It is not wanted any more.")
        assert "It is not wanted any more." in ended.out
        wichtel("experiments", "finish", made["experiments"][1], "SATISFIED", "--cause", "so", expect=2)
        assert "by admin: repairs" in wichtel("quotas", "list").out
        wichtel("quotas", "resume", "default")
        wichtel("registrations", "cancel", made["id"])
        assert "CANCELED" in wichtel("registrations", "show", made["id"]).out
        assert "canceled already" in wichtel("registrations", "cancel", made["id"], expect=2).err
        made = wichtel("register", "--models", model, "--protocols", "TrainModel,ReduceTrainingData", "--json").data
        assert made["protocols"] == ["TrainModel", "ReduceTrainingData"]
        wichtel("registrations", "cancel", made["id"])
    finally:
        wichtel("quotas", "set", "default", "4")
    assert "default" in wichtel("quotas", "list").out


def test_shares_of_the_fleet_and_limits(wichtel: Any) -> None:
    wichtel("quotas", "set", "maps", "3", "--cpus", "2.5", "--memory-gib", "1")
    # What is not said stays.
    shown = wichtel("quotas", "set", "maps", "--gpus", "1", "--json").data
    assert (shown["max_in_progress"], shown["max_cpus"], shown["max_gpus"], shown["max_memory_bytes"]) == (3, 2.5, 1, 2**30)
    assert "2.5 CPUs, 1 GPUs, 1 GiB" in wichtel("quotas", "list").out
    assert wichtel("quotas", "set", "maps", "--whole-fleet", "--json").data["max_cpus"] is None
    wichtel("quotas", "set", "maps", expect=2)
    wichtel("quotas", "delete", "maps")
    wichtel("quotas", "delete", "maps", expect=4)
    wichtel("quotas", "limit", "user", "bob", "--starts-per-hour", "10", "--team", "maps")
    assert "user bob in maps" in wichtel("quotas", "limits").out
    assert "it limits nothing" in wichtel("quotas", "limit", "user", "bob", expect=2).err
    assert "there is no kind" in wichtel("quotas", "limit", "team", "bob", "--in-progress", "1", expect=2).err
    wichtel("quotas", "unlimit", "user", "bob", "--team", "maps")
    wichtel("quotas", "unlimit", "user", "bob", "--team", "maps", expect=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["register", "--models", "cli/one"], "which protocols?"),
        (["register"], "which models?"),
        (["run", "SetHyperparameters", "cli/one", "-p", "values"], "not name=value"),
        (["run", "SetHyperparameters", "cli/one", "-p", "valeus={}"], "Did you mean 'values'?"),
        (["run", "TrainModel", "cli/one", "--set", "replicas=2"], "Did you mean 'replicates'?"),
        (["experiments", "list", "--state", "done"], "--state: there is no 'done'"),
        (["experiments", "list", "--limit", "-1"], "--limit"),
        (["run", "TrainModel"], "model"),
        (["no-such-command"], "No such command"),
    ],
)
def test_bad_input_ends_with_2(wichtel: Any, model: str, arguments: list[str], message: str) -> None:
    said = wichtel(*arguments, expect=2)
    assert message in said.err
    assert said.out == ""


def test_a_study_is_submitted_from_a_file(wichtel: Any, tmp_path: Path) -> None:
    study = """
        name = "from a file"
        entry = "operator:attrgetter"
        trials = 1
        objectives = [{metric = "loss", better = "smaller"}]
        [space.x]
        kind = "float"
        low = 0
        high = 1
        """
    (tmp_path / "study.toml").write_text(study)
    made = wichtel("studies", "add", "study.toml", "--json").data
    assert made["spec"]["name"] == "from a file"
    assert "already" in wichtel("studies", "add", "study.toml", expect=2).err
    (tmp_path / "study.toml").write_text(study.replace("trials", "trails"))
    said = wichtel("studies", "add", "study.toml", expect=2)
    assert "study.toml" in said.err
    assert "Did you mean 'trials'?" in said.err


def test_studies_and_tokens(wichtel: Any) -> None:
    wichtel("studies", "list")
    wichtel("studies", "show", "none", expect=4)
    wichtel("studies", "cancel", "none", expect=4)
    token = wichtel("tokens", "create", "cli-viewer", "--role", "viewer").out.strip()
    said = wichtel("quotas", "set", "mine", "9", "--token", token, expect=5)
    assert "cli-viewer is a viewer" in said.err
    assert wichtel("quotas", "set", "mine", "9", "--token", "wrong", "--json", expect=5).err.startswith(
        '{"error": {"code": "not_permitted"'
    )


def test_options_may_stand_before_the_command(wichtel: Any) -> None:
    assert isinstance(wichtel("--json", "protocols", "list").data, list)
    assert isinstance(wichtel("protocols", "--help").out, str)
