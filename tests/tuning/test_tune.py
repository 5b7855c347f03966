"""`wt.tune` with real worker processes and real SQLite."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wichtel as wt
from wichtel.domain import Algorithm, InvalidInput, RunState, UserError
from wichtel.store import Database
from wichtel.tuning.results.kept import kept_studies


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


SPACE = {"x": wt.Float(-3, 3), "n": wt.Int(0, 5)}


def train(x, n, report, seed, trial, checkpoint_path, resume, scale=1.0):
    assert isinstance(seed, int)
    assert checkpoint_path.is_dir()
    assert resume is False
    for step in range(3):
        report(step=step, loss=scale * (x - 1) ** 2 + n + 1 / (step + 1))
    return {"loss": scale * (x - 1) ** 2 + n, "number": trial}


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_search_finds_what_is_good(engine):
    study = wt.tune(train, SPACE, minimize="loss", trials=25, workers=2, engine=engine, seed=1)
    assert study.reason == "all 25 trials are done"
    assert [t.number for t in study.trials] == list(range(25))
    assert [t.metrics["number"] for t in study.trials] == list(range(25))
    assert study.best_value == min(t.metrics["loss"] for t in study.trials) < 1.5
    assert study.best_config == study.best.config
    assert not list(Path.cwd().iterdir()), "a study without a name leaves nothing behind"


def test_lambdas_and_closures_travel():
    offset = 2
    study = wt.tune(lambda x: (x - offset) ** 2, {"x": wt.Float(0, 4)}, minimize="loss", trials=6, searcher="random")
    assert all(t.metrics == {"loss": pytest.approx((t.config["x"] - 2) ** 2)} for t in study.trials)


def test_an_inline_function_is_the_callers_own():
    seen = []
    wt.tune(lambda x: seen.append(x) or x, {"x": wt.Float(0, 1)}, minimize="loss", trials=4, engine="inline", searcher="random")
    assert len(seen) == 4


def test_the_same_call_gives_the_same_result_with_one_worker():
    def run(seed):
        return [t.config for t in wt.tune(train, SPACE, minimize="loss", trials=15, engine="inline", seed=seed).trials]

    assert run(3) == run(3) != run(4)


def test_bad_trials_are_stopped_and_say_why():
    def slow(quality, report):
        for step in range(10):
            report(step=step, accuracy=quality * (step + 1) / 10)
        return quality

    order = [{"quality": q} for q in (0.9, 0.8, 0.85, 0.7, 0.1, 0.95)]
    study = wt.tune(
        slow, {"quality": wt.Float(0, 1)}, maximize="accuracy", trials=6, engine="inline", pruner=Algorithm(name="median"), enqueue=order
    )
    states = [t.state for t in study.trials]
    assert states == [RunState.SUCCEEDED] * 4 + [RunState.STOPPED, RunState.SUCCEEDED]
    assert study.trials[4].metrics == {"accuracy": pytest.approx(0.01)}
    assert "median" in study.trials[4].reason
    assert study.best_config == {"quality": 0.95}


def test_a_stopped_trial_in_a_worker_ends_soon():
    def slow(quality, report):
        for step in range(200):
            time.sleep(0.01)
            report(step=step, accuracy=quality)

    order = [{"quality": q} for q in (0.9, 0.1)]
    pruner = Algorithm(name="median", options={"min_trials": 1})
    began = time.monotonic()
    study = wt.tune(slow, {"quality": wt.Float(0, 1)}, maximize="accuracy", trials=2, pruner=pruner, enqueue=order)
    assert [t.state for t in study.trials] == [RunState.SUCCEEDED, RunState.STOPPED]
    assert study.trials[1].metrics == {"accuracy": 0.1}
    assert study.trials[1].ended - study.trials[1].started < (study.trials[0].ended - study.trials[0].started) / 2
    assert time.monotonic() - began < 60


def test_a_failing_trial_keeps_its_traceback_and_the_study_goes_on():
    def sometimes(n):
        if n == 3:
            raise ValueError("three is bad")
        if n == 4:
            return float("nan")
        return n

    study = wt.tune(sometimes, {"n": wt.Int(0, 4)}, minimize="loss", searcher="grid", workers=2)
    failed = {t.config["n"]: t for t in study.trials if t.state is RunState.FAILED}
    assert set(failed) == {3, 4}
    assert "three is bad" in failed[3].reason.partition("\n")[0]
    assert "in sometimes" in failed[3].reason
    assert failed[4].reason == "its loss is nan"
    assert study.best_config == {"n": 0}


def test_when_most_trials_fail_the_study_fails_with_the_cause():
    def never(x):
        raise RuntimeError("no such file: data.csv")

    with pytest.raises(UserError, match=r"trials failed; the last: .*no such file: data.csv") as caught:
        wt.tune(never, {"x": wt.Float(0, 1)}, minimize="loss", trials=50, workers=2)
    assert "in never" in caught.value.hint


def test_a_worker_that_exits_costs_its_trial_only():
    def exits(n):
        if n == 1:
            os._exit(3)
        return n

    study = wt.tune(exits, {"n": wt.Int(0, 3)}, minimize="loss", searcher="grid", trials=4, workers=2)
    assert [t.state for t in study.trials] == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_a_trial_that_takes_too_long_fails():
    def hangs(n):
        if n == 1:
            time.sleep(600)
        return n

    study = wt.tune(hangs, {"n": wt.Int(0, 2)}, minimize="loss", searcher="grid", trials=3, workers=2, timeout_seconds=1)
    assert [t.state for t in study.trials] == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED]
    assert "1 s" in study.trials[1].reason


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda lr: lr, {"space": {"lrr": wt.Float(0, 1)}}, "nobody provides its parameter 'lr'.*Did you mean 'lrr'"),
        (lambda x, reprot: x, {}, "nobody provides its parameter 'reprot'.*Did you mean 'report'"),
        (lambda y=1: y, {}, "the space has 'x', which it does not take"),
        (lambda x, /: x, {}, "cannot be given by name"),
        (lambda a, x: x, {"space": {"a": wt.Bool(), "x": wt.Float(0, 1, when={"a": [True]})}}, "Give it a default"),
        (3, {}, "is not a function"),
        (lambda x: x, {"minimize": None}, "say what is better"),
        (lambda x: x, {"maximize": "loss"}, "an objective stands there twice"),
        (lambda x: x, {"constraints": ["size < 3"]}, "is no constraint"),
        (lambda x: x, {"terminators": ["no_improvment"]}, "Did you mean 'no_improvement'"),
        (lambda x: x, {"terminators": [3]}, "is no terminator"),
        (lambda x: x, {"max_seconds": 0}, "must be positive"),
        (lambda x: x, {"folds": 0}, "is no evaluation"),
        (lambda x: x, {"searcher": "tpee"}, "Did you mean 'tpe'"),
        (lambda x: x, {"searcher": 7}, "is no searcher"),
        (lambda x: x, {"pruner": "asah"}, "Did you mean 'asha'"),
        (lambda x: x, {"engine": "locl"}, "Did you mean 'local'"),
        (lambda x: x, {"trials": 0}, "0 trials"),
        (lambda x: x, {"trials": "10"}, "trials is '10', which is no whole number"),
        (lambda x: x, {"workers": 2.5, "engine": "local"}, "workers is 2.5, which is no whole number"),
        (lambda x: x, {"max_seconds": "60"}, "max_seconds is '60'"),
        (lambda x: x, {"timeout_seconds": -1}, "timeout_seconds is -1"),
        (lambda x: x, {"meta": {"rows": "many"}}, "no finite number"),
        (lambda x: x, {"name": ""}, "no name of a study"),
        (lambda x: x, {"name": "x" * 300}, "no name of a study"),
        (lambda x: x, {"name": 3}, "no name of a study"),
        (lambda x: x, {"enqueue": [{"x": 9.0}]}, "outside"),
    ],
)
def test_mistakes_are_said_before_anything_starts(function, options, message):
    arguments = {"space": {"x": wt.Float(0, 1)}, "minimize": "loss", "engine": "inline"} | options
    with pytest.raises(UserError, match=message):
        wt.tune(function, **arguments)


def test_what_cannot_be_sent_is_named():
    lock = __import__("threading").Lock()
    with pytest.raises(InvalidInput, match=r"cannot be sent to workers.*lock.*Make or open it inside the function"):
        wt.tune(lambda x: lock and x, {"x": wt.Float(0, 1)}, minimize="loss")


def test_a_result_that_is_no_metric():
    with pytest.raises(UserError, match="returned 'good'"):
        wt.tune(lambda x: "good", {"x": wt.Float(0, 1)}, minimize="loss", trials=2, engine="inline")


def test_the_result_shows_itself():
    study = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=3, engine="inline", searcher="random", name="a/b <c>")
    assert repr(study).startswith("<study 'a/b <c>': 3 trials (3 succeeded); all 3 trials are done; best loss 0.")
    assert "<td>" in study._repr_html_()
    assert "&lt;c&gt;" in study._repr_html_()
    frame = study.to_dataframe()
    assert list(frame["loss"]) == [t.metrics["loss"] for t in study.trials]
    assert list(frame["config.x"]) == [t.config["x"] for t in study.trials]


def test_progress_on_request(capfd):
    wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=2, engine="inline", searcher="random")
    assert capfd.readouterr() == ("", "")
    wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=2, engine="inline", searcher="random", progress=True)
    assert [line.split(":")[0] for line in capfd.readouterr().err.splitlines()[:2]] == ["trial 0", "trial 1"]


def test_own_searchers_and_pruners():
    class Halving:
        def __init__(self, problem):
            self.x = 1.0

        def sample(self, n):
            from wichtel.tuning import Suggestion

            self.x /= 2
            return [Suggestion(config={"x": self.x})]

        def update(self, results):
            pass

    study = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=4, engine="inline", searcher=Halving)
    assert [t.config["x"] for t in study.trials] == [0.5, 0.25, 0.125, 0.0625]


# What a study may have besides one objective


def test_several_objectives_and_constraints():
    study = wt.tune(
        lambda x: {"acc": x, "size": 10 * x * x, "latency": 1 - x},
        {"x": wt.Float(0, 1)},
        maximize="acc",
        minimize=["size"],
        constraints=["latency <= 0.8"],
        trials=25,
        engine="inline",
    )
    assert [o.metric for o in study.spec.objectives] == ["acc", "size"]
    assert study.reason == "all 25 trials are done"
    assert study.explanation


def test_folds_are_runs_of_their_own_and_files_come_back(tmp_path):
    def train(x, fold, folds, repeat, seed, checkpoint_path):
        file = checkpoint_path / "model.txt"
        file.write_text(f"{fold} of {folds}, {repeat}")
        return {"metrics": {"loss": x + fold, "seed": seed}, "artifacts": {"model": file}}

    study = wt.tune(train, {"x": wt.Float(0, 1)}, minimize="loss", trials=3, workers=2, folds=2, repeats=2, searcher="random")
    for trial in study.trials:
        x = trial.config["x"]
        assert trial.samples["loss"] == [x, x + 1, x, x + 1]
        assert trial.metrics["loss"] == pytest.approx(x + 0.5)
        assert len(set(trial.samples["seed"])) == 4
        assert set(trial.artifacts) == {f"{e}/model" for e in range(4)}
    study.home.artifacts.fetch(study.best.artifacts["3/model"], tmp_path / "fetched")
    assert (tmp_path / "fetched").read_text() == "1 of 2, 1"


def test_a_result_without_a_name_keeps_its_home_as_long_as_somebody_has_it():
    def train(x, report):
        for step in range(3):
            report(step=step, loss=x + step)

    study = wt.tune(train, {"x": wt.Float(0, 1)}, minimize="loss", trials=2, engine="inline", searcher="random")
    folder, x = study.home.folder, study.trials[1].config["x"]
    curves = study.home.measurements(study.study.spec.id)
    assert [(m.step, m.metrics["loss"]) for m in curves[1]] == [(0, x), (1, x + 1), (2, x + 2)]
    assert folder.is_dir()
    del study
    gc.collect()
    assert not folder.exists()


def test_a_study_ends_by_time_cost_or_terminator():
    def slow(x):
        time.sleep(0.05)
        return {"loss": x, "cost": 2.0}

    space = {"x": wt.Float(0, 1)}
    timed = wt.tune(slow, space, minimize="loss", workers=2, searcher="random", max_seconds=2.0, trials=10_000)
    assert timed.reason == "its 2 s are up"
    assert any(t.state is RunState.SUCCEEDED for t in timed.trials)
    assert [t.number for t in timed.trials] == list(range(len(timed.trials)))
    costly = wt.tune(slow, space, minimize="loss", engine="inline", searcher="random", max_cost=7)
    assert (costly.reason, len(costly.trials)) == ("its trials have cost 8 of 7", 4)
    stopped = wt.tune(slow, space, minimize="loss", engine="inline", terminators=Algorithm(name="target", options={"value": 10.0}))
    assert len(stopped.trials) == 1
    assert "10" in stopped.reason


def test_a_study_goes_on_when_it_is_given_more_time():
    def run(**changes):
        return wt.tune(lambda x: time.sleep(0.02) or x, {"x": wt.Float(0, 1)}, minimize="loss", engine="inline", name="time", **changes)

    short = run(trials=12, max_cost=None, max_seconds=0.001, searcher="random")
    assert len(short.trials) < 12
    whole = run(trials=12, max_seconds=60, searcher="random")
    assert (len(whole.trials), whole.reason) == (12, "all 12 trials are done")


def test_checkpoints_of_parents_are_there_and_gone_in_the_end():
    class Promote:
        promotes = True

        def __init__(self, problem):
            self.next = 0

        def sample(self, n):
            from wichtel.tuning import Suggestion

            number, self.next = self.next, self.next + 1
            if number < 2:
                return [Suggestion(config={"x": number / 4}, budget=1)]
            return [Suggestion(config={"x": (number - 2) / 4}, budget=3, parent=number - 2)]

        def update(self, results):
            self.next = max([self.next, *(r.number + 1 for r in results)])

    def train(x, budget, resume, checkpoint_path):
        state = checkpoint_path / "epochs"
        done = int(state.read_text()) if resume else 0
        state.write_text(str(budget))
        return {"loss": x, "from": done}

    study = wt.tune(train, {"x": wt.Float(0, 1)}, minimize="loss", trials=4, searcher=Promote)
    assert [t.metrics["from"] for t in study.trials] == [0, 0, 1, 1]
    assert [(t.budget, t.parent) for t in study.trials] == [(1, None), (1, None), (3, 0), (3, 1)]
    assert not list((study.home.folder / "fleet").rglob("epochs"))


def test_a_sampler_of_optunas():
    optuna = pytest.importorskip("optuna")
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=5, engine="inline", searcher=sampler)
    assert len({t.config["x"] for t in study.trials}) == 5


# A study with a name


def test_a_finished_study_is_not_run_again():
    calls = []

    def run(**changes):
        options = {"minimize": "loss", "trials": 3, "engine": "inline", "searcher": "random", "name": "again"} | changes
        return wt.tune(lambda x: calls.append(x) or x, options.pop("space", {"x": wt.Float(0, 1)}), **options)

    first = run()
    assert run().trials == first.trials
    assert len(calls) == 3
    for changes in (
        {"seed": 1},
        {"searcher": "tpe"},
        {"space": {"x": wt.Float(0, 2)}},
        {"minimize": (), "maximize": "loss"},
        {"folds": 2},
    ):
        with pytest.raises(InvalidInput, match="Choose another name"):
            run(**changes)


def test_an_ended_study_goes_on_when_it_is_given_more():
    calls = []

    def run(**changes):
        options = {"minimize": "loss", "engine": "inline", "searcher": "random", "name": "more"} | changes
        return wt.tune(lambda x: calls.append(x) or x, {"x": wt.Float(0, 1)}, **options)

    first = run(trials=3)
    assert first.trials == run(trials=2).trials
    more = run(trials=7)
    assert more.trials[:3] == first.trials
    assert (len(more.trials), len(calls), more.study.reason) == (7, 7, "all 7 trials are done")
    assert more.study.spec.trials == 7
    whole = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", engine="inline", searcher="random", trials=7)
    assert [t.config for t in whole.trials] == [t.config for t in more.trials]
    assert run(trials=7, max_seconds=60).trials == more.trials


def test_what_was_forgiven_stays_forgiven_when_the_extended_study_is_interrupted():
    options = {"minimize": "loss", "engine": "inline", "name": "mended", "searcher": "random"}
    with pytest.raises(UserError, match="5 of 5 trials failed"):
        wt.tune(lambda x: 1 / 0, {"x": wt.Float(0, 1)}, trials=5, **options)
    calls = []

    def mended(x):
        calls.append(x)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        wt.tune(mended, {"x": wt.Float(0, 1)}, trials=9, **options)
    study = wt.tune(mended, {"x": wt.Float(0, 1)}, trials=9, **options)
    assert [str(t.state) for t in study.trials] == ["FAILED"] * 5 + ["SUCCEEDED"] * 4


SCRIPT = """
import os, sys, time
import wichtel as wt

def train(x, n, trial):
    with open("executed", "a") as log:
        log.write(f"{trial}\\n")
    time.sleep(SECONDS)
    return (x - 1) ** 2 + n

if __name__ == "__main__":
    study = wt.tune(train, {"x": wt.Float(-3, 3), "n": wt.Int(0, 5)}, minimize="loss", trials=24, searcher=sys.argv[1],
                    workers=int(sys.argv[2]), name="kill", seed=5)
    for t in study.trials:
        print(t.number, t.state, t.config, t.metrics["loss"])
"""


def _start(folder, searcher, workers, seconds=0.05):
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(SCRIPT.replace("SECONDS", str(seconds)))
    return subprocess.Popen(
        [sys.executable, "script.py", searcher, str(workers)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def _trials(folder):
    path = folder / ".wichtel" / "studies" / "kill" / "study.db"
    if not path.exists():
        return []
    db = Database.open(f"sqlite:///{path}")
    try:
        with db.read() as tx:
            return tx.trials.of_study("kill")
    finally:
        db.close()


@pytest.mark.parametrize(("searcher", "workers"), [("random", 1), ("random", 2), ("tpe", 1)])
def test_a_killed_study_resumes_and_ends_as_an_undisturbed_one(tmp_path, searcher, workers):
    undisturbed = _finish(_start(tmp_path / "calm", searcher, workers))
    folder = tmp_path / "killed"
    finished_before = set()
    for enough in (3, 12):
        process = _start(folder, searcher, workers)
        deadline = time.monotonic() + 60
        executed = folder / "executed"
        while not (executed.exists() and len(set(executed.read_text().split())) >= enough):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finished_before |= {t.number for t in _trials(folder)}
    assert finished_before
    times = executed.read_text().split()
    assert _finish(_start(folder, searcher, workers)) == undisturbed
    again = executed.read_text().split()[len(times) :]
    assert not finished_before & {int(n) for n in again}, "a finished trial was run again"
    assert {int(n) for n in times + again} == set(range(24))


def test_studies_of_one_store_may_be_called_like_each_others_trials(tmp_path):
    store = f"sqlite:///{tmp_path / 'all.db'}"
    options = {"minimize": "loss", "store": store, "engine": "inline", "trials": 4}
    wide = wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, name="a", folds=2, **options)
    for name in ("a/3", "a%2F3"):
        narrow = wt.tune(lambda y: y, {"y": wt.Float(5, 6)}, name=name, **options)
        assert [t.state for t in narrow.trials] == [RunState.SUCCEEDED] * 4
        assert narrow.best_value >= 5
        assert wt.load_study(name, store).trials == narrow.trials
    assert wt.load_study("a", store).trials == wide.trials


@pytest.mark.parametrize("name", [".", "..", "../up", "a b", "ü" * 40])
def test_a_study_is_kept_in_a_folder_of_its_own_whatever_it_is_called(name):
    wt.tune(lambda x: x, {"x": wt.Float(0, 1)}, minimize="loss", trials=2, name=name, engine="inline")
    assert kept_studies() == [name]
    assert len(wt.load_study(name).trials) == 2
    assert [p.name for p in Path().iterdir()] == [".wichtel"]


def test_two_stores_in_one_folder_are_tuned_at_the_same_time():
    script = (
        "import sys, time\nimport wichtel as wt\n"
        "def train(x, checkpoint_path):\n    print('noise')\n    time.sleep(0.05)\n    return x\n"
        "study = wt.tune(train, {'x': wt.Float(0, 1)}, minimize='loss', trials=20, workers=2, name='same', store=sys.argv[1], seed=1)\n"
        "print(sorted({str(t.state) for t in study.trials}))\n"
    )
    Path("s.py").write_text(script)
    both = [subprocess.Popen([sys.executable, "s.py", f"sqlite:///{n}.db"], stdout=subprocess.PIPE, text=True) for n in "ab"]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["['SUCCEEDED']"] * 2
    for name in "ab":
        db = Database.open(f"sqlite:///{name}.db")
        with db.read() as tx:
            assert {run.attempt for run in tx.runs.list()} == {1}
        db.close()


def test_one_process_at_a_time(tmp_path):
    # Long enough for the other to start meanwhile, on any machine.
    process = _start(tmp_path / "one", "random", 1, seconds=60)
    while not (tmp_path / "one" / "executed").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    second = _start(tmp_path / "one", "random", 1)
    _, err = second.communicate(timeout=60)
    assert "another process is running the study 'kill'" in err
    process.kill()
    process.communicate()


def test_an_interrupted_study_can_be_resumed(tmp_path):
    process = _start(tmp_path / "ctrl-c", "random", 2, seconds=0.2)
    while not (tmp_path / "ctrl-c" / "executed").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(_trials(tmp_path / "ctrl-c")) < 24
    assert len(_finish(_start(tmp_path / "ctrl-c", "random", 2)).splitlines()) == 24


def misspelt(x: float, report: wt.Reporter) -> float:
    for step in range(3):
        report(step, los=x)
    return x


def test_whoever_reports_no_objective_is_told_that_nothing_is_stopped_early(caplog):
    wt.tune(misspelt, {"x": wt.Float(0, 1)}, minimize="loss", trials=3, engine="inline", pruner="median", progress=False)
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "report 'los' and not 'loss'. Did you mean 'los'?" in told
