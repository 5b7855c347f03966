"""What is seen of a study while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wichtel as wt
from wichtel.domain import InvalidInput, MetricBound, Objective, RunState, StudySpec, StudyState, Trial
from wichtel.tuning import StudyResult
from wichtel.tuning.progress import MODES, Board, Progress
from wichtel.tuning.results.ranking import Front, dominates, losses_of, ranked, tier_of


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def spec_of(*metrics, **more):
    objectives = tuple(Objective(metric=m, better="smaller") for m in metrics or ("loss",))
    return StudySpec(id="s", name="s", space=wt.Space({"x": wt.Float(0, 1)}), objectives=objectives, entry="m:f", trials=10, **more)


def trial(number, state=RunState.SUCCEEDED, reason="", copied_from=None, budget=None, **metrics):
    now = datetime.now(UTC)
    config = {"x": number / 10}
    return Trial(
        study="s",
        number=number,
        config=config,
        state=state,
        metrics=metrics,
        reason=reason,
        copied_from=copied_from,
        budget=budget,
        created=now,
    )


def test_lines_say_how_each_trial_ended(capsys):
    with Progress(spec_of(), "lines", "random, since there are 10 trials") as progress:
        progress.begun(0, {"x": 0.0})
        progress(trial(0, loss=0.25))
        progress(trial(1, RunState.FAILED, "ValueError: \x1b[31mno\nTraceback"))
        progress(trial(2, RunState.STOPPED, "it was bad", loss=2.0))
        progress.finished(StudyState.FINISHED, "all 3 trials are done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "s: random, since there are 10 trials",
        "trial 0: succeeded loss=0.25",
        "trial 1: failed (ValueError: \\x1b[31mno)",
        "trial 2: stopped loss=2 (it was bad)",
        "s: all 3 trials are done; best loss 0.25 (trial 0)",
    ]


def test_json_tells_programs(capsys):
    with Progress(spec_of(), "json") as progress:
        progress.begun(0, {"x": 0.0})
        for step in range(100):
            progress.measured(0, step, {"loss": float("nan")})
        progress(trial(0, loss=0.25))
        progress.finished(StudyState.FINISHED, "done")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events if e["event"] != "measured"] == ["begun", "ended", "finished"]
    measured = [e for e in events if e["event"] == "measured"]
    assert measured[0] == {"event": "measured", "study": "s", "trial": 0, "step": 0, "metrics": {"loss": None}}
    assert len(measured) < 100
    assert events[-1]["best"] == [{"trial": 0, "config": {"x": 0.0}, "metrics": {"loss": 0.25}}]


def test_a_listener_that_went_away_does_not_end_the_study():
    code = "import wichtel as wt; s = wt.tune(lambda x: x, {'x': wt.Float(0, 1)}, minimize='loss', trials=300, engine='inline', "
    code += "searcher='random', progress='json'); import sys; print(len(s.trials), file=sys.stderr)"
    said = subprocess.run(
        f'{sys.executable} -c "{code}" | head -n 1',
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert said.stderr.splitlines()[0] == "300"


def test_quiet_is_quiet_and_modes_are_checked(capfd):
    for mode in ("quiet", False, None):
        with Progress(spec_of(), mode) as progress:
            progress(trial(0, loss=0.25))
    assert capfd.readouterr() == ("", "")
    with pytest.raises(InvalidInput, match="Did you mean 'lines'"):
        Progress(spec_of(), "line")
    assert set(MODES) == {"live", "bar", "lines", "json", "quiet"}


def test_a_bar_counts(capsys):
    with Progress(spec_of(), "bar") as progress:
        progress.resume([trial(0, loss=0.5)])
        progress(trial(1, loss=0.25))
        progress(trial(2, RunState.FAILED))
    shown = capsys.readouterr().err
    assert "3/10" in shown
    assert "best loss 0.25 (trial 1), 1 failed" in shown


def test_a_notebook_gets_a_bar(monkeypatch, capsys):
    import IPython

    class Shell:
        kernel = object()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    with Progress(spec_of()) as progress:
        progress(trial(0, loss=0.5))
    assert "1/10" in capsys.readouterr().err


SCRIPT = """
import time
import wichtel as wt

def train(x, report):
    for step in range(4):
        time.sleep(0.1)
        report(step, loss=x + 1 / (step + 1))
    print("printed by the function")
    return x

study = wt.tune(train, {"x": wt.Float(0, 1)}, minimize="loss", trials=4, engine="inline", searcher="random", name="[bold] a study")
"""


def on_a_terminal(code):
    # No fork of this process: other tests may have started threads in it.
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True)
    os.close(end)
    said = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody is there any more
        while part := os.read(terminal, 65536):
            said += part
    os.close(terminal)
    assert process.wait() == 0, said.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())


def test_a_terminal_shows_the_study_live():
    shown = on_a_terminal(SCRIPT)
    assert "[bold] a study" in shown
    assert "1 of 1 workers at work" in shown
    assert re.search(r"\d/4 0:0\d, about 0:0\d left", shown)
    assert re.search(r"\n0 +[0-3] +[\d.]+ +0:0\d +x=0", shown), shown
    last = shown[shown.rindex("[bold] a study") :]
    assert re.search(r"best loss [\d.]+ \(trial \d\)  x=", last)
    assert "4 succeeded" in last
    assert "all 4 trials are done" in last
    assert "printed by the function" in shown


def test_the_board_knows_how_long_it_takes():
    board = Board(spec_of())
    assert board.left is None
    board.resume([trial(n, loss=1.0) for n in range(4)])
    assert (board.done, board.left) == (4, None)
    board.begun(4, {"x": 0.5})
    board.measured(4, 7, {"loss": 0.5})
    assert board.work[4].step == 7
    board.began -= 10
    board.ended(trial(4, loss=0.5))
    assert board.left == pytest.approx(50, abs=1)
    assert board.work == {}
    assert board.counts == {"succeeded": 5}


def test_several_objectives_have_a_front():
    board = Board(spec_of("loss", "time"))
    for number, (loss, time) in enumerate([(1.0, 3.0), (3.0, 1.0), (3.0, 3.0), (2.0, 2.0)]):
        board.ended(trial(number, loss=loss, time=time))
    assert board.headline() == "front of 3 trials; best loss 1, time 1"


TRIALS = st.lists(
    st.builds(
        lambda state, budget, loss, time, size: (state, budget, loss, time, size),
        st.sampled_from([RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED]),
        st.sampled_from([None, 1.0, 3.0]),
        st.integers(0, 4),
        st.integers(0, 4),
        st.integers(0, 2),
    ),
    max_size=25,
)


@given(TRIALS)
def test_the_front_is_what_nothing_dominates_in_whatever_order_it_came(rows):
    spec = spec_of("loss", "time", constraints=(MetricBound(metric="size", high=1),))
    trials = [trial(n, state, budget=b, loss=float(x), time=float(y), size=float(z)) for n, (state, b, x, y, z) in enumerate(rows)]
    scored = [t for t in trials if losses_of(spec, t)]
    tiers = [tier_of(spec, t) for t in scored]
    best = [t for t, tier in zip(scored, tiers, strict=True) if tier == min(tiers)]
    expected = {losses_of(spec, t) for t in best if not any(dominates(losses_of(spec, o), losses_of(spec, t)) for o in best)}
    fronts = []
    for order in (trials, trials[::-1]):
        front = Front(spec)
        for t in order:
            front.add(t)
        fronts.append({losses_of(spec, t) for t in front.trials})
        assert len(front.trials) == len(expected)
    assert fronts == [expected, expected]
    first = ranked(spec, trials)[:1]
    assert [losses_of(spec, t)[0] for t in first] == ([min(losses)[0] for losses in [expected] if losses])


def test_the_best_is_feasible_first_then_of_the_largest_budget_then_whole():
    spec = spec_of(constraints=(MetricBound(metric="size", high=1),))
    order = [
        trial(5, budget=9.0, loss=5.0, size=1.0),
        trial(4, RunState.STOPPED, budget=9.0, loss=4.0, size=1.0),
        trial(3, budget=3.0, loss=3.0, size=1.0),
        trial(2, budget=9.0, loss=2.0, size=1.5),
        trial(1, budget=9.0, loss=1.0, size=3.0),
        trial(0, loss=0.0),
    ]
    assert ranked(spec, order[::-1]) == order
    from wichtel.domain import Study

    study = StudyResult(study=Study(spec=spec, created=datetime.now(UTC)), trials=order[::-1])
    assert study.best.number == 5
    assert study.front == [order[0]]
    assert replace_trials(study, order[3:]).front == []


def replace_trials(study, trials):
    from dataclasses import replace

    return replace(study, trials=trials)


def test_a_reader_that_goes_away_does_not_end_the_study(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import wichtel as wt\n"
        "space = {'x': wt.Float(0, 1)}\n"
        "s = wt.tune(lambda x: x, space, minimize='loss', trials=400, searcher='random', engine='inline', progress='json')\n"
        f"open({str(tmp_path / 'done')!r}, 'w').write(str(len(s.trials)))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(60)
    assert (tmp_path / "done").read_text() == "400"
