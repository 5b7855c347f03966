"""What comes of starting workers by forking a warm process, and of that process's own end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import RetryPolicy, RunState
from wichtel.fleet import LocalEngine
from wichtel.fleet.messages import Hello, ToController
from wichtel.fleet.nursery_link import how_it_ended
from wichtel.testing.engines import Fleet


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> set[int]:
    """Processes below this one, zombies too."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in path.read_text().split()}
    return found


def descriptors() -> Counter[str]:
    """What this process has open, without what is different each time it is named; not what an earlier test has let go of."""
    gc.collect()
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[str(entry.readlink()).partition("[")[0].partition(":")[0]] += 1
    return found


def look(fleet: Fleet, number: int = 0, **payload: Any) -> dict[str, Any]:
    (run,) = fleet.run(fleet.spec("looks_around", number, **payload))
    assert run.state is RunState.SUCCEEDED, run.error
    found: dict[str, Any] = run.result
    return found


def lose_worker(fleet: Fleet, found: dict[str, Any]) -> None:
    """Kill the worker that said this, and wait until the fleet knows."""
    os.kill(found["pid"], signal.SIGKILL)
    until(lambda: not fleet.controller.status().workers)


def test_workers_are_forked_of_one_process_and_share_nothing_else(tmp_path: Path) -> None:
    with Fleet(LocalEngine(3), tmp_path) as fleet:
        runs = fleet.run(*(fleet.spec("looks_around", n, seconds=1.0) for n in range(3)))
        found = [run.result for run in runs]
    assert len({f["pid"] for f in found}) == 3
    assert len({f["parent"] for f in found}) == 1
    assert {f["parent"] for f in found}.isdisjoint({os.getpid(), 1})
    assert all(f["session"] == f["pid"] for f in found)
    assert len({f["random"] for f in found}) == 3
    for f in found:
        sockets = [name for name in f["descriptors"] if name.startswith("socket:")]
        assert len(sockets) == 1, "its own alone"
        assert not [name for name in f["descriptors"] if name.startswith(("pipe:", "anon_inode:"))]
        assert "/dev/null" in f["descriptors"]


def test_workers_begin_with_what_was_preloaded_and_nothing_heavy(tmp_path: Path) -> None:
    with Fleet(LocalEngine(1, preload=["colorsys"]), tmp_path) as fleet:
        assert look(fleet, modules=["colorsys", "numpy", "sqlalchemy", "asyncio"])["modules"] == ["colorsys"]


def test_a_nursery_that_is_killed_takes_its_workers_along_and_another_takes_its_place(tmp_path: Path) -> None:
    with Fleet(LocalEngine(2), tmp_path) as fleet:
        first = look(fleet)
        specs = [
            fleet.spec("sleeps", seconds=0.5, mark=str(tmp_path / "mark")),
            fleet.spec("seizes", seconds=600, mark=str(tmp_path / "seized"), options={"retry": RetryPolicy(max_attempts=1)}),
        ]
        fleet.controller.submit(specs)
        marks = [tmp_path / "mark", tmp_path / "seized"]
        until(lambda: all(path.exists() and path.read_text() for path in marks))
        pids = [int(path.read_text()) for path in marks]
        os.kill(first["parent"], signal.SIGKILL)
        slept, seized = fleet.wait([spec.id for spec in specs])
        assert (slept.state, slept.attempt) == (RunState.SUCCEEDED, 2)
        assert seized.error is not None
        assert "the process that starts workers was killed by SIGKILL" in seized.error["message"]
        until(lambda: not any(alive(pid) for pid in pids))
        after = look(fleet, 1)
        assert after["parent"] != first["parent"]
        with fleet.database.read() as tx:
            lost = Counter(event.subject for event in tx.events.since(0) if event.kind == "worker.lost")
        assert len(lost) == 2
        assert set(lost.values()) == {1}


def test_nurseries_killed_again_and_again_each_run_ends_once(tmp_path: Path) -> None:
    with Fleet(LocalEngine(2), tmp_path) as fleet:
        specs = [fleet.spec("curve", n, steps=10, seconds=0.01, options={"retry": RetryPolicy(max_attempts=50)}) for n in range(20)]
        before = children()
        fleet.controller.submit(specs)
        done = fleet.listener.all_ended(spec.id for spec in specs)
        kills = 0
        while not done.wait(0.3) and kills < 4:
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
                kills += 1
        assert done.wait(40)
        assert sorted(run.spec.id for run in fleet.listener.ends) == sorted(spec.id for spec in specs)


def test_workers_begin_where_the_process_is_when_they_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_BEFORE", "1")
    with Fleet(LocalEngine(1, environment={"OF_THE_ENGINE": "yes"}), tmp_path) as fleet:
        names = ["HERE_BEFORE", "OF_THE_ENGINE", "LATER", "PYTHONPATH"]
        first = look(fleet, names=names)
        assert first["directory"] == str(Path.cwd())
        assert first["environment"]["OF_THE_ENGINE"] == "yes"
        assert first["environment"]["LATER"] is None

        # Elsewhere: the same warm process will do.
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        monkeypatch.syspath_prepend(str(tmp_path / "modules"))
        lose_worker(fleet, first)
        second = look(fleet, 1, names=names)
        assert second["directory"] == str(elsewhere)
        assert second["path"][0] == str(elsewhere)
        assert str(tmp_path / "modules") in second["path"]
        assert second["parent"] == first["parent"]

        # With another environment: another warm process, and the one before is not kept.
        monkeypatch.setenv("LATER", "now")
        monkeypatch.delenv("HERE_BEFORE")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "more"), os.environ.get("PYTHONPATH", "")]))
        lose_worker(fleet, second)
        third = look(fleet, 2, names=names)
        assert third["environment"]["LATER"] == "now"
        assert third["environment"]["HERE_BEFORE"] is None
        assert str(tmp_path / "more") in third["path"]
        assert third["parent"] != first["parent"]
        assert not alive(first["parent"])


def test_a_retired_nursery_ends_with_its_last_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Fleet(LocalEngine(2), tmp_path) as fleet:
        first = look(fleet)
        monkeypatch.setenv("LATER", "now")
        # Two at once, so that a second worker is started.
        runs = fleet.run(*(fleet.spec("looks_around", n, seconds=0.5, names=["LATER"]) for n in (1, 2)))
        old, new = sorted((run.result for run in runs), key=lambda found: found["pid"] != first["pid"])
        assert (old["environment"], new["environment"]) == ({"LATER": None}, {"LATER": "now"})
        assert old["parent"] == first["parent"] != new["parent"]
        os.kill(old["pid"], signal.SIGKILL)
        until(lambda: not alive(first["parent"]))
        assert alive(new["pid"])


def test_nothing_is_left_open_and_nobody_is_left_behind(tmp_path: Path) -> None:
    def use(name: str) -> None:
        (tmp_path / name).mkdir()
        with Fleet(LocalEngine(2), tmp_path / name) as fleet:
            vanishing = fleet.spec("vanishes", until=3, options={"retry": RetryPolicy(max_attempts=3)})
            fleet.run(vanishing, *(fleet.spec("nothing", n) for n in range(5)))

    use("warm")  # what a process opens once
    before, others = descriptors(), children()
    use("first")
    use("second")
    assert not descriptors() - before
    assert children() <= others


def test_engines_of_one_process_know_nothing_of_one_another(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    with Fleet(LocalEngine(1), tmp_path / "a") as one, Fleet(LocalEngine(1), tmp_path / "b") as other:
        first, second = look(one), look(other)
        assert first["parent"] != second["parent"]
        os.kill(first["parent"], signal.SIGKILL)
        until(lambda: not alive(first["pid"]))
        assert look(one, 1)["parent"] not in (first["parent"], second["parent"])
        assert look(other, 1)["pid"] == second["pid"]
        one.controller.stop()
        assert look(other, 2)["pid"] == second["pid"]


def test_the_nursery_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import threading
from pathlib import Path
from wichtel.fleet import LocalEngine
from wichtel.testing.engines import Fleet
fleet = Fleet(LocalEngine(1), Path({str(tmp_path)!r}))
fleet.controller.start()
(run,) = fleet.run(fleet.spec("looks_around"))
print(run.result["parent"], run.result["pid"], flush=True)
threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        process.kill()
    until(lambda: not any(map(alive, pids)))


class Witness:
    """Launches one worker, and remembers what it heard of it."""

    def __init__(self, engine: LocalEngine, name: str) -> None:
        self.heard: list[ToController] = []
        self.gone: list[str] = []
        self._news = asyncio.Event()
        self.link = engine.launch(name, self._hear, self._see_gone)

    def _hear(self, message: ToController) -> None:
        self.heard.append(message)
        self._news.set()

    def _see_gone(self, reason: str) -> None:
        self.gone.append(reason)
        self._news.set()

    async def news(self) -> None:
        self._news.clear()
        await asyncio.wait_for(self._news.wait(), 20)

    async def is_gone(self) -> str:
        while not self.gone:
            await self.news()
        await asyncio.sleep(0.05)
        (reason,) = self.gone  # told once
        return reason


def with_engine(workers: int, main: Callable[[LocalEngine], Coroutine[Any, Any, None]]) -> None:
    """Have it used, and see that nothing is left."""

    async def use() -> None:
        engine = LocalEngine(workers)
        try:
            await main(engine)
        finally:
            engine.close()

    before, others = descriptors(), children()
    asyncio.run(use())
    assert not descriptors() - before
    assert children() <= others


def test_a_worker_may_be_killed_before_it_is_there() -> None:
    async def main(engine: LocalEngine) -> None:
        early = Witness(engine, "w1")  # there is no nursery yet
        early.link.kill()
        await early.is_gone()
        living = Witness(engine, "w2")
        await living.news()
        (hello,) = living.heard
        assert isinstance(hello, Hello)
        late = Witness(engine, "w3")  # there is one, and it is asked already
        late.link.kill()
        assert await late.is_gone() == "it was killed by SIGKILL"
        assert not living.gone
        living.link.kill()
        await living.is_gone()
        assert not alive(hello.pid)

    with_engine(2, main)


def test_a_worker_that_cannot_be_started_is_told_of_and_the_next_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(engine: LocalEngine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [*sys.path, "x" * 2**20])
            assert "could not be started: " in await Witness(engine, "w1").is_gone()
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONHOME", "/nowhere")
            reason = await Witness(engine, "w2").is_gone()
            assert reason == "it could not be started: the process that starts workers ended with exit code 1"
        able = Witness(engine, "w3")
        await able.news()
        assert able.heard
        able.link.kill()
        await able.is_gone()

    with_engine(1, main)


def test_more_workers_at_once_than_a_socket_holds_requests() -> None:
    async def main(engine: LocalEngine) -> None:
        witnesses = [Witness(engine, f"w{n}") for n in range(250)]
        await witnesses[0].news()
        for witness in witnesses:
            witness.link.kill()
        assert set(await asyncio.gather(*(witness.is_gone() for witness in witnesses))) == {"it was killed by SIGKILL"}

    with_engine(250, main)


def test_ends_in_words() -> None:
    assert how_it_ended(0) == "ended with exit code 0"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(-40) == "was killed by signal 40"
