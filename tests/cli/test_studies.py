"""`wichtel tune` and `wichtel studies` without a service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wichtel.cli.algorithms import algorithm
from wichtel.domain import Algorithm, InvalidInput

WICHTEL = [sys.executable, "-c", "from wichtel.cli import main; main()"]

TRAIN = """
import time

def train(x, net, report, data=None):
    for step in range(3):
        report(step, loss=(x - 2) ** 2 + 1 / (step + 1))
    return {"loss": (x - 2) ** 2, "size": net["layers"], "data": 0 if data is None else data()}

def slow(x):
    time.sleep(0.2)
    return x

def seven():
    return 7
"""
SPACE = """
x = {kind = "float", low = 0, high = 4}
[net]
layers = {kind = "int", low = 1, high = 4}
"""


@pytest.fixture
def folder(alone: Any, tmp_path: Path) -> Path:
    (tmp_path / "studied.py").write_text(TRAIN)
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "one.json").write_text('{"x": {"kind": "float", "low": 0, "high": 1}}')
    return tmp_path


def tune(*more: str, name: str = "kept") -> list[str]:
    function = ["tune", "studied:train", "--space", "space.toml", "--minimize", "loss", "--engine", "inline", "--searcher", "random"]
    return [*function, "--name", name, *more]


def test_what_tune_takes_on_the_command_line(alone: Any, folder: Path) -> None:
    said = alone(
        *tune("--trials", "6", "--constraint", "size <= 3", "--pruner", "threshold(upper=100.0)", "--terminator", "target(value=-1.0)"),
        *("--enqueue", '{"x": 2.0, "net": {"layers": 1}}', "--meta", "rows=100", "--data", "studied:seven"),
        *("--tracker", "tensorboard(folder='logs')", "--max-seconds", "600", "--confirm", "2", "--report", "out/report.html", "--json"),
    )
    assert said.data["best"]["config"] == {"x": 2.0, "net.layers": 1}
    assert said.data["best"]["metrics"]["data"] == 7
    spec = said.data["study"]["spec"]
    assert spec["constraints"] == [{"metric": "size", "low": None, "high": 3.0}]
    assert spec["pruner"] == {"name": "threshold", "options": {"upper": 100.0}}
    assert spec["meta"] == {"rows": 100.0}
    assert said.data["confirmation"]["values"] == [0.0, 0.0]
    assert len(list((folder / "logs" / "kept").iterdir())) == 6
    assert "with 2 fresh seeds" in (folder / "out" / "report.html").read_text()
    # As in a shell, without --json.
    shown = alone(*tune("--trials", "6", "--constraint", "size <= 3", "--enqueue", '{"x": 2.0, "net": {"layers": 1}}')).out
    assert re.search(r"^best trial +0$", shown, flags=re.M)
    assert "x = 2.0" in shown


def test_several_objectives_print_their_front(alone: Any, folder: Path) -> None:
    said = alone(*tune("--trials", "5", "--minimize", "size"))
    assert re.search(r"^front +trial \d+: loss", said.out, flags=re.M)
    assert len(alone(*tune("--trials", "5", "--minimize", "size"), "--json").data["front"]) >= 1


def test_events_are_all_there_is_on_standard_output(alone: Any, folder: Path) -> None:
    events = [json.loads(line) for line in alone(*tune("--trials", "3", "--progress", "json")).out.splitlines()]
    assert [e["event"] for e in events].count("ended") == 3
    assert events[-1]["event"] == "finished"


def test_every_argument_of_tune_has_an_option() -> None:
    import inspect

    import wichtel as wt
    from wichtel.cli.tune import tune as command

    several = {"constraints": "constraint", "terminators": "terminator", "trackers": "tracker"}
    wanted = {several.get(name, name) for name in inspect.signature(wt.tune).parameters}
    assert wanted == set(inspect.signature(command).parameters) - {"here", "report"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--searcher", "hyperband("], "is not understood"),
        (["--searcher", "hyperband(81)"], "a name with options"),
        (["--searcher", "randon"], "Did you mean 'random'"),
        (["--progress", "lives"], "Did you mean 'live'"),
        (["--tracker", "mlfow"], "Did you mean 'mlflow'"),
        (["--enqueue", "x"], "is not JSON"),
        (["--enqueue", "[1]"], "no table"),
        (["--meta", "rows=many"], "no number"),
        (["--constraint", "size < 3"], "is no constraint"),
        (["--url", "http://there"], "on this machine"),
    ],
)
def test_mistakes_are_said(alone: Any, folder: Path, more: list[str], message: str) -> None:
    assert message in alone(*tune("--trials", "2"), *more, expect=2).err


def test_algorithms_are_written_as_calls() -> None:
    assert algorithm("my-own(a=[1, 2], b='x')", "--searcher") == Algorithm(name="my-own", options={"a": [1, 2], "b": "x"})
    assert algorithm(" tpe ", "--searcher") == Algorithm(name="tpe")
    assert algorithm("tpe()", "--searcher") == Algorithm(name="tpe")
    for text in ("(a=1)", "tpe(a=f())", "tpe(**{})", "tpe(a=1", "tpe(a=1) or 2"):
        with pytest.raises(InvalidInput):
            algorithm(text, "--searcher")


def test_kept_studies_are_listed_shown_and_gone_on_with(alone: Any, folder: Path) -> None:
    alone(*tune("--trials", "3", name="team/kept"))
    [row] = alone("studies", "list", "--json").data
    assert (row["where"], row["spec"]["name"], row["state"]) == ("here", "team/kept", "FINISHED")
    assert re.search(r"^here +team/kept +FINISHED +loss +3/3", alone("studies", "list").out, flags=re.M)
    data = alone("studies", "show", "team/kept", "--json").data
    assert [t["number"] for t in data["trials"]] == [0, 1, 2]
    assert len(alone("studies", "show", "team/kept", "--best", "1").out.splitlines()) == 2
    more = alone("studies", "resume", "team/kept", "--trials", "5", "--engine", "inline", "--json").data
    assert more["trials"] == 5
    assert alone("studies", "show", "team/kept", "--json").data["trials"][:3] == data["trials"]
    assert "Did you mean 'team/kept'" in alone("studies", "show", "team/kep", expect=4).err
    assert "Did you mean 'team/kept'" in alone("studies", "resume", "team/kep", expect=4).err
    assert "nobody runs it" in alone("studies", "stop", "team/kept", expect=2).err
    assert "it has ended" in alone("studies", "cancel", "team/kept", expect=2).err


def test_exports_and_reports(alone: Any, folder: Path) -> None:
    import optuna
    import pyarrow.parquet

    alone(*tune("--trials", "3"))
    lines = alone("studies", "export", "kept").out.splitlines()
    assert lines[0].startswith("number,state,loss,size,data,config.x,config.net.layers,")
    assert len(lines) == 4
    for suffix in ("csv", "json", "parquet", "log"):
        alone("studies", "export", "kept", "--to", f"out.{suffix}")
    assert (folder / "out.csv").read_text().splitlines() == lines
    assert len(json.loads((folder / "out.json").read_text())["trials"]) == 3
    assert pyarrow.parquet.read_table(folder / "out.parquet").num_rows == 3
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "out.log")))
    assert len(optuna.load_study(study_name="kept", storage=storage).trials) == 3
    assert "there already" in alone("studies", "export", "kept", "--to", "out.csv", expect=2).err
    assert ".parquet" in alone("studies", "export", "kept", "--to", "out.xls", expect=2).err
    alone("studies", "report", "kept", "--to", "report.html")
    assert "Plotly.newPlot" in (folder / "report.html").read_text()


def started(trials: int) -> subprocess.Popen[str]:
    arguments = ["tune", "studied:slow", "--space", "one.json", "--minimize", "loss", "--searcher", "random", "--workers", "1"]
    process = subprocess.Popen(
        [*WICHTEL, *arguments, "--name", "slow", "--trials", str(trials), "--progress", "lines"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in iter(process.stderr.readline, ""):
        said.append(line)
        if line.startswith("trial 0"):
            return process
    process.communicate()
    raise AssertionError("".join(said))


def test_a_study_is_stopped_from_elsewhere_and_gone_on_with(alone: Any, folder: Path) -> None:
    with started(12) as process:
        assert f"here, process {process.pid}" in alone("studies", "list").out
        assert "another process is running" in alone("studies", "resume", "slow", expect=2).err
        said = alone("studies", "stop", "slow", "--json").data
        assert said["state"] == "RUNNING"
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert "wichtel studies resume slow" in process.stderr.read()
    before = len(alone("studies", "show", "slow", "--json").data["trials"])
    assert 1 <= before < 12
    assert alone("studies", "resume", "slow", "--engine", "inline", "--json").data["trials"] == 12


def test_a_study_is_canceled_for_good(alone: Any, folder: Path) -> None:
    with started(100) as process:
        assert alone("studies", "cancel", "slow", "--json").data["state"] == "CANCELED"
        assert process.wait(30) == 130


def test_a_number_that_a_killed_process_left_is_nobodys(alone: Any, folder: Path) -> None:
    with started(100) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    deadline = time.monotonic() + 30
    while "process" in alone("studies", "list").out:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "nobody runs it" in alone("studies", "stop", "slow", expect=2).err
