"""Limits of fresh processes, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wichtel.domain import InvalidInput, PlanError, SystemFault
from wichtel.plans import run_fresh

HERE = Path(__file__).parent
MIB = 2**20


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_result_reports_and_output():
    seen = []
    fresh = run_fresh("fresh_entries:count", {"to": 3}, seconds=20, on_report=lambda step, metrics: seen.append((step, metrics)))
    assert fresh.result == {"sum": 6}
    assert seen == [(i, {"value": i * 0.5}) for i in (1, 2, 3)]
    assert "counting to 3" in fresh.output
    assert fresh.peak_memory_bytes > MIB


def test_what_an_entry_raises_comes_out():
    with pytest.raises(InvalidInput, match="no good") as caught:
        run_fresh("fresh_entries:refuse", {}, seconds=20)
    assert (caught.value.where, caught.value.hint) == ("here", "try again")
    with pytest.raises(SystemFault, match="KeyError: 'bug'"):
        run_fresh("fresh_entries:fail", {}, seconds=20)
    with pytest.raises(InvalidInput, match="there is no 'fresh_entries:nothing'"):
        run_fresh("fresh_entries:nothing", {}, seconds=20)


def test_a_report_can_stop_it():
    class Stop(Exception):
        pass

    pids = []

    def stop(step, metrics):
        pids.append(int(metrics["pid"]))
        raise Stop

    with pytest.raises(Stop):
        run_fresh("fresh_entries:report_for_ever", {}, seconds=20, on_report=stop)
    assert not alive(pids[0])


def test_a_plan_that_loops_for_ever(make_tree):
    tree = make_tree("def f():\n    while True:\n        pass\nprint('here')\nf()\n")
    with pytest.raises(PlanError, match=r"did not end within 1\.5 seconds.*limits\.load_seconds in job\.toml.*here") as caught:
        run_fresh("wichtel.plans.entries:analyse_here", {"discovery_seconds": 1}, tree=tree, seconds=1.5)
    assert caught.value.where in ("plan.py:8", "plan.py:9")


def test_a_phase_has_a_limit_of_its_own():
    with pytest.raises(PlanError, match=r"training did not end within 0\.2 seconds.*limits\.train_seconds"):
        run_fresh("fresh_entries:phases", {"seconds": 0.2}, seconds=30)


@pytest.mark.parametrize("entry", ["eat", "eat_in_a_child"])
def test_memory_of_the_whole_tree_is_limited(entry):
    with pytest.raises(PlanError, match=r"used \d+ MiB of memory; the limit is 200 MiB.*resources\.memory"):
        run_fresh(f"fresh_entries:{entry}", {}, seconds=20, memory_bytes=200 * MIB)


def test_megabytes_of_output_are_cut(make_tree):
    fresh = run_fresh("fresh_entries:chatter", {"megabytes": 30}, seconds=20)
    assert len(fresh.output) <= 64 * 1024
    assert fresh.output.endswith("the end\n")


def test_nothing_is_left_behind(tmp_path):
    fresh = run_fresh("fresh_entries:leave_a_child", {}, seconds=20, scratch=tmp_path)
    assert wait_for(lambda: not alive(fresh.result["pid"]))
    assert list(tmp_path.iterdir()) == []


def test_it_dies_with_its_parent(tmp_path):
    source = f"""
from wichtel.plans import run_fresh
run_fresh("fresh_entries:report_for_ever", {{}}, seconds=60,
    on_report=lambda s, m: open({str(tmp_path / "pid")!r}, "w").write(str(int(m["pid"]))))
"""
    parent = subprocess.Popen([sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": str(HERE)})
    pid = tmp_path / "pid"
    assert wait_for(lambda: pid.exists() and pid.read_text() != "")
    child = int(pid.read_text())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not alive(child))


def test_killed_by_somebody_else_is_not_the_users_fault():
    def kill(step, metrics):
        os.kill(int(metrics["pid"]), signal.SIGKILL)

    with pytest.raises(SystemFault, match="was killed"):
        run_fresh("fresh_entries:report_for_ever", {}, seconds=20, on_report=kill)


def test_a_plan_does_not_see_the_services_settings(monkeypatch):
    monkeypatch.setenv("WICHTEL_DATABASE_URL", "postgresql://me:secret@db")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    environment = run_fresh("fresh_entries:environment", {}, seconds=20, cpus=2.0).result
    assert "WICHTEL_DATABASE_URL" not in environment
    assert (environment["KERAS_BACKEND"], environment["OMP_NUM_THREADS"]) == ("torch", "2")
