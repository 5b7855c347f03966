"""What a training function may ask for, return and be; carried out as workers do."""

from __future__ import annotations

import functools
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import wichtel as wt
from wichtel.domain import InvalidInput, Space, UserError
from wichtel.fleet.carry import Carrier, Context
from wichtel.fleet.messages import Assign, Welcome
from wichtel.store import Artifacts
from wichtel.tuning import function as functions
from wichtel.tuning.files import unpack
from wichtel.tuning.function import ENTRY, NAMED, check_function, run_once, send


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def carry(tmp_path, artifacts):
    """Call a function as a worker does that has never seen it; its result."""

    def carry(function, config, *, model=None, data=None, entry=ENTRY, seed=0, devices=(), **payload):
        sent = function if entry == NAMED else send(function, artifacts, model=model, data=data)
        functions._here.clear()
        functions._fetched.clear()
        welcome = Welcome(1.0, 0.1, 1.0, str(tmp_path / "state"), artifacts.location, 1 << 20)
        payload = {"function": sent, "metric": "loss", "config": config, "trial": 7, **payload}
        return Carrier().carry(Context(Assign("s/7", 1, 1, entry, payload, seed, devices=list(devices)), welcome, lambda: None))

    return carry


def test_it_is_given_what_it_asks_for(carry):
    def train(
        x, report, checkpoint_path, resume, seed, device, trial, budget, fold, folds, repeat, holdout, model, data, optional="its own"
    ):
        report(step=1, loss=np.float32(3))
        assert checkpoint_path.is_dir()
        assert (resume, device, holdout, optional) == (False, "cpu", False, "its own")
        return {"model": model(), "data": data() + x, "seed": seed, "trial": trial, "fold": fold, "folds": folds} | (
            {"repeat": repeat, "budget": budget, "whole": isinstance(budget, int)}
        )

    def data():
        return 10

    result = carry(train, {"x": 1}, model=lambda: 5, data=data, seed=3, budget=9.0, fold=1, folds=4, repeat=2)
    assert result.error is None
    assert result.value == {
        "metrics": {"model": 5, "data": 11, "seed": 3, "trial": 7, "fold": 1, "folds": 4, "repeat": 2, "budget": 9, "whole": 1}
    }
    assert [m.metrics for m in result.measurements] == [{"loss": 3.0}]


def test_what_nobody_says_is_none_or_the_functions_own_default(carry):
    assert carry(lambda x, budget: 0 if budget is None else 1, {"x": 1}).value == {"metrics": {"loss": 0}}
    assert carry(lambda x, budget=27, fold=5, model=None: budget + fold, {"x": 1}).value == {"metrics": {"loss": 32}}
    assert carry(lambda x, budget: budget, {"x": 1}, budget=0.5).value == {"metrics": {"loss": 0.5}}


def test_the_device_is_the_first_of_those_it_was_given(carry):
    assert carry(lambda x, device: int(device == "cuda:1"), {"x": 1}, devices=[1, 3]).value == {"metrics": {"loss": 1}}


def test_a_parameter_of_the_space_wins(carry):
    assert carry(lambda seed, trial: seed + trial, {"seed": 100}, seed=3).value == {"metrics": {"loss": 107}}


def test_nested_configurations(carry):
    def train(optimizer, epochs):
        return {"lr": optimizer["lr"], "momentum": optimizer["extra"]["momentum"], "epochs": epochs}

    space = Space({"optimizer": {"lr": wt.Float(0, 1), "extra": {"momentum": wt.Float(0, 1)}}, "epochs": 10})
    check_function(train, space)
    config = {"optimizer.lr": 0.1, "optimizer.extra.momentum": 0.9, "epochs": 10}
    assert carry(train, config).value == {"metrics": {"lr": 0.1, "momentum": 0.9, "epochs": 10}}


@pytest.mark.parametrize(
    ("returned", "metrics"),
    [
        (3, {"loss": 3.0}),
        (True, {"loss": 1.0}),
        (np.float32(0.5), {"loss": 0.5}),
        (np.array(0.5), {"loss": 0.5}),
        ({"loss": np.int64(2), "accuracy": np.float64(0.25)}, {"loss": 2.0, "accuracy": 0.25}),
        (None, {}),
        ({"metrics": 3}, {"metrics": 3.0}),
        ({"metrics": {"loss": 3}}, {"loss": 3.0}),
        ({"metrics": 3, "artifacts": {}}, {"loss": 3.0}),
        ({"artifacts": {}}, {}),
    ],
)
def test_what_it_may_return(carry, returned, metrics):
    assert carry(lambda x: returned, {"x": 1}).value == {"metrics": metrics}


def test_numbers_of_other_libraries(carry):
    jax = pytest.importorskip("jax")
    assert carry(lambda x: jax.numpy.float32(x).sum(), {"x": 1}).value == {"metrics": {"loss": 1.0}}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("good", "returned 'good'"),
        ("0.5", "returned '0.5'"),
        (np.ones(1), "returned array"),
        ({"loss": [1, 2]}, "numbers"),
        ({"metrics": {"loss": 1}, "model": "m.bin"}, "'model' beside 'metrics' and 'artifacts'"),
        ({"metrics": {"loss": 1}, "artifacts": ["m.bin"]}, r"artifacts that the function returned are \['m.bin'\]"),
        ({"metrics": {"loss": 1}, "artifacts": {"model": 3}}, "3 is no path"),
        ({"metrics": {"loss": 1}, "artifacts": {"model": "no/such"}}, "path 'no/such', but there is nothing"),
    ],
)
def test_what_it_may_not_return(carry, returned, message):
    result = carry(lambda x: returned, {"x": 1})
    assert result.state == "FAILED"
    assert wt.domain.errors.from_json(result.error).code == "user_error"
    with pytest.raises(UserError, match=message):
        raise wt.domain.errors.from_json(result.error)


def test_files_that_it_returns_are_kept(carry, artifacts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(x, checkpoint_path):
        (checkpoint_path / "weights.bin").write_bytes(b"weights")
        Path("notes.txt").write_text("from the working directory")
        folder = checkpoint_path / "saved"
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "b").write_text("b" * x)
        (folder / "a").write_text("a")
        return {"metrics": {"loss": x}, "artifacts": {"model": checkpoint_path / "weights.bin", "notes": "notes.txt", "saved": str(folder)}}

    value = carry(train, {"x": 3}).value
    assert value["metrics"] == {"loss": 3}
    kept = value["artifacts"]
    assert artifacts.get(kept["model"]) == b"weights"
    assert artifacts.get(kept["notes"]) == b"from the working directory"
    with tarfile.open(fileobj=io.BytesIO(artifacts.get(kept["saved"]))) as packed:
        assert packed.getnames() == ["a", "inner/b"]
    artifacts.fetch(kept["saved"], tmp_path / "saved.tar")
    unpack(tmp_path / "saved.tar", tmp_path / "again")
    assert (tmp_path / "again" / "inner" / "b").read_text() == "bbb"


def test_the_same_folder_is_the_same_artifact(carry, tmp_path):
    def train(x, checkpoint_path):
        folder = checkpoint_path / f"{x}"
        folder.mkdir()
        for name in "ab" if x else "ba":
            (folder / name).write_text(name)
        return {"metrics": 1, "artifacts": {"saved": folder}}

    assert carry(train, {"x": 0}).value == carry(train, {"x": 1}).value


class Trainer:
    """Callable, and with a method; equal to others, so it has no hash."""

    def __init__(self, base):
        self.base = base

    def __eq__(self, other):
        return isinstance(other, Trainer) and self.base == other.base

    __hash__ = None

    def __call__(self, x, seed):
        return self.base + x + seed

    def method(self, x, seed):
        return self.base + x + seed


def _plain(base, x, seed):
    return base + x + seed


@pytest.mark.parametrize(
    "function",
    [
        Trainer(10),
        Trainer(10).method,
        functools.partial(_plain, 10),
        functools.partial(functools.partial(_plain, seed=5), base=10),
        lambda x, seed: _plain(10, x, seed),
    ],
    ids=["object", "method", "partial", "nested partial", "lambda"],
)
def test_what_a_function_may_be(carry, function):
    check_function(function, Space({"x": wt.Int(0, 1)}))
    assert carry(function, {"x": 1}, seed=5).value == {"metrics": {"loss": 16}}


LOADER = """
import json, sys
from wichtel.fleet.carry import Carrier, Context
from wichtel.fleet.messages import Assign, Welcome
root, digest = sys.argv[1:]
welcome = Welcome(1.0, 0.1, 1.0, root + "/state", root + "/artifacts", 1 << 20)
payload = {"function": digest, "metric": "loss", "config": {"x": 1}, "trial": 0}
result = Carrier().carry(Context(Assign("s/0", 1, 1, "wichtel.tuning.function:call", payload, 2), welcome, lambda: None))
print(json.dumps([result.value, result.error]))
"""


@pytest.mark.parametrize("function", [Trainer(10), Trainer(10).method, functools.partial(_plain, 10)], ids=["object", "method", "partial"])
def test_another_process_that_cannot_import_it_gets_it_as_code(function, artifacts, tmp_path):
    digest = send(function, artifacts)
    done = subprocess.run([sys.executable, "-c", LOADER, tmp_path, digest], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == '[{"metrics": {"loss": 13.0}}, null]\n'


def test_functions_of_main_and_their_generators(tmp_path):
    script = f"""
import sys
from wichtel.store import Artifacts
from wichtel.tuning.function import send

SIZE = 4

def model():
    return SIZE

class Train:
    def __call__(self, x, model, data):
        return x + model() + data()

print(send(Train(), Artifacts({str(tmp_path / "artifacts")!r}), model=model, data=lambda: SIZE))
"""
    digest = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([sys.executable, "-c", LOADER, tmp_path, digest], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == '[{"metrics": {"loss": 9.0}}, null]\n'


def test_what_cannot_travel_is_told(artifacts):
    lock = __import__("threading").Lock()
    with pytest.raises(InvalidInput, match=r"cannot be sent to workers.*lock"):
        send(lambda x: x, artifacts, data=lambda: lock)


def test_functions_by_their_names(carry):
    assert carry("math:sqrt", {"x": 4}, entry=NAMED).state == "FAILED", "it takes no parameters by name"
    assert "cannot be imported" in carry("no.such:thing", {"x": 4}, entry=NAMED).error["message"]
    assert carry("statistics:fmean", {"data": 4}, entry=NAMED).state == "FAILED"


@pytest.mark.parametrize(
    ("function", "space", "given", "message"),
    [
        (lambda x, model: x, {"x": 1}, {}, "nobody provides its parameter 'model'.*tune model="),
        (lambda x, data: x, {"x": 1}, {"model": int}, "does not ask for the model|nobody provides its parameter 'data'"),
        (lambda x: x, {"x": 1}, {"data": int}, "does not ask for the data that you give"),
        (lambda optimiser: 1, {"optimizer": {"lr": 1}}, {}, "parameter 'optimiser'.*Did you mean 'optimizer'"),
        (lambda lr: 1, {"optimizer": {"lr": 1}}, {}, "parameter 'lr'"),
        (lambda a, g: 1, {"a": wt.Choice({"y": {"g": {"x": 1}}, "n": {}})}, {}, "'g' has no value when.*Give it a default"),
        (lambda a, seed=1: 1, {"a": wt.Choice({"y": {"seed": 1}, "n": {}})}, {}, "'seed' under a condition.*Rename"),
        (lambda a: 1, {"a": 1, "a.b": 2}, {}, "'a.b': it stands in a group"),
    ],
)
def test_mistakes_are_told_before_anything_starts(function, space, given, message):
    with pytest.raises(InvalidInput, match=message):
        check_function(function, Space(space), **given)


def test_a_single_run_is_called_as_in_a_study(tmp_path):
    def train(x, report, checkpoint_path, resume, model, budget=3, seed=1):
        report(step=0, loss=x)
        (checkpoint_path / "kept").touch()
        return x, resume, model(), budget, seed

    heard = []
    assert run_once(train, {"x": 2}, model=lambda: 5, on_report=lambda *args: heard.append(args)) == (2, False, 5, 3, 0)
    assert heard == [(0, {"loss": 2})]
    assert run_once(train, {"x": 2}, model=int, checkpoint_path=tmp_path / "c", budget=9, seed=4) == (2, False, 0, 9, 4)
    assert run_once(train, {"x": 2}, model=int, checkpoint_path=tmp_path / "c") == (2, True, 0, 3, 0)
    assert run_once(lambda optimizer: optimizer["lr"], {"optimizer.lr": 0.5}) == 0.5
    assert run_once(lambda seed: seed, {}) == 0
    with pytest.raises(InvalidInput, match="nobody provides its parameter 'y'"):
        run_once(lambda x, y: x, {"x": 1})


def test_a_single_run_may_be_stopped():
    def train(x, report):
        for step in range(9):
            report(step=step, loss=x)

    heard = []

    def stop(step, metrics):
        heard.append(step)
        if step == 2:
            raise wt.Stopped("enough")

    with pytest.raises(wt.Stopped):
        run_once(train, {"x": 1}, on_report=stop)
    assert heard == [0, 1, 2]
