"""What a run's function is told when it reports."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from wichtel.fleet import Stopped, carry
from wichtel.fleet.carry import Context
from wichtel.fleet.messages import Assign, Welcome


def context(tmp_path: Path, notify: Callable[[Context], None]) -> Context:
    made = Context(Assign("r", 1, 1, "m:f", {}), Welcome(1.0, 0.02, 5.0, str(tmp_path), "", 1000), lambda: notify(made))
    return made


def later(act: Callable[[], None]) -> None:
    threading.Timer(0.005, act).start()


def test_a_run_that_reports_rarely_is_stopped_at_the_report_that_decides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if hours lay between the reports.
    monkeypatch.setattr(carry, "_PATIENCE", 1e6)
    monkeypatch.setattr(carry, "_LONGEST_SECONDS", 20.0)
    run = context(tmp_path, lambda run: later(lambda: run.answer(len(run.collect()), "enough")))
    began = time.monotonic()
    with pytest.raises(Stopped, match="enough"):
        run.report(1, x=0.0)
    assert time.monotonic() - began < 20.0


def test_a_report_waits_no_longer_than_for_its_own_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "_PATIENCE", 1e6)
    monkeypatch.setattr(carry, "_LONGEST_SECONDS", 0.3)
    answered: list[int] = []

    def answer(run: Context) -> None:
        def speak() -> None:
            answered.append(2)
            run.answer(2, "")

        # Of the first report nobody says anything; of the second, at first only to the one before.
        if run.collect()[-1].step == 2:
            run.answer(1, "")
            later(speak)

    run = context(tmp_path, answer)
    run.report(1, x=0.0)
    assert not answered
    run.report(2, x=0.0)
    assert answered == [2]


def test_reports_that_follow_one_another_closely_wait_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(carry, "time", SimpleNamespace(monotonic=lambda: next(ticks) * 0.01))
    run = context(tmp_path, lambda _: None)
    monkeypatch.setattr(run._answered, "wait", lambda _: pytest.fail("it waits"))
    for step in range(100):
        run.report(step, x=0.0)
    run.answer(99, "enough")
    with pytest.raises(Stopped):
        run.report(100, x=0.0)
