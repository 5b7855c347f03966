"""Kills the service, then its workers, at random moments of the demo, and compares the verdicts with those of an undisturbed run.

``make chaos``, or ``python scripts/kill_demo.py [--kills 10] [--seed 1] [--folder build/chaos]``

Three runs of the sixteen experiments of examples/flights/demo.py, each in a home of its own, on a real ``wichtel serve``:

1. undisturbed;
2. ``kill -9`` of the service (its workers die with it) at random moments, each time followed by a restart;
3. ``kill -9`` of a random worker at random moments.

Exit code 0 only if every experiment of 2 and 3 ends with the verdict that it has in 1, and no model, run or result is there twice.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "flights"))

import demo  # noqa: E402

from wichtel.client import Client  # noqa: E402
from wichtel.client.client import home_token  # noqa: E402
from wichtel.domain import Experiment, WichtelError  # noqa: E402
from wichtel.fleet import processes  # noqa: E402

Verdicts = dict[tuple[str, str, str], str]


class Service:
    """A ``wichtel serve`` that can be killed and started again on the same home and port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log = (self.home.parent / f"{self.home.name}.log").open("ab")
        command = [str(Path(sys.executable).parent / "wichtel"), "--home", str(self.home), "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.home.parent)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"the service ended with {self.process.returncode}: see {self.log.name}")
            try:
                with self.client() as client:
                    client.protocols.list()
            except (WichtelError, OSError):
                time.sleep(0.2)
            else:
                return
        raise SystemExit("the service did not answer")

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", home_token(self.home) or "")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        assert self.process is not None
        found = []
        for pid in processes.descendants(self.process.pid):
            with suppress(OSError):  # it ended meanwhile
                if Path(f"/proc/{pid}/comm").read_text().startswith("wt-w"):
                    found.append(pid)
        return found


def run(home: Path, disturb: Any, console: Console) -> tuple[Verdicts, list[str]]:
    """Run the demo's experiments; return the verdicts, and what is there twice."""
    shutil.rmtree(home, ignore_errors=True)
    service = Service(home)
    service.start()
    over = threading.Event()
    with service.client() as client:
        demo.prepare(client, home.parent / "data", console)
        experiments = demo.register(client, key="chaos")
        saboteur = threading.Thread(target=disturb, args=(service, over))
        saboteur.start()
        found = demo.follow(client, experiments, console)
        over.set()
        saboteur.join()
        doubled = twice(client, found)
    service.stop()
    return {(e.model, e.protocol, e.config.intent.name): f"{e.status}" for e in found}, doubled


def twice(client: Client, found: list[Experiment]) -> list[str]:
    """What is there more than once, in words."""
    problems = []
    ends = Counter(e.subject for e in client.events.list(limit=None) if e.kind == "experiment.finished")
    problems += [f"{subject} finished {n} times" for subject, n in ends.items() if n > 1]
    for name in demo.MODELS:
        versions = client.models.versions(name)
        made = Counter(v.experiment for v in versions if v.experiment)
        problems += [f"{experiment} made {n} versions" for experiment, n in made.items() if n > 1]
        problems += [f"version {v} is there {n} times" for v, n in Counter(v.id for v in versions).items() if n > 1]
    runs = Counter(r.spec.id for r in client.runs.list(limit=None))
    problems += [f"run {r} is there {n} times" for r, n in runs.items() if n > 1]
    for e in found:
        trials = client.studies.trials(e.result.study) if e.result and e.result.study else []
        problems += [f"trial {e.id}/{t} is there {n} times" for t, n in Counter(t.number for t in trials).items() if n > 1]
    return problems


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=ROOT / "build" / "chaos")
    arguments.add_argument("--mean-seconds", type=float, default=15.0, help="Mean time between kills.")
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    console = Console(width=200)
    given.folder.mkdir(parents=True, exist_ok=True)
    done: Counter[str] = Counter()

    def nothing(service: Service, over: threading.Event) -> None:
        over.wait()

    def kill_service(service: Service, over: threading.Event) -> None:
        while done["service"] < given.kills and not over.wait(chance.uniform(0.2, 2 * given.mean_seconds)):
            service.kill()
            done["service"] += 1
            console.print(f"    killed the service ({done['service']})")
            over.wait(chance.uniform(0, 2))
            service.start()

    def kill_worker(service: Service, over: threading.Event) -> None:
        while done["worker"] < given.kills and not over.wait(chance.uniform(0.2, 2 * given.mean_seconds)):
            workers = service.workers()
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)
                done["worker"] += 1
                console.print(f"    killed a worker ({done['worker']})")

    results: dict[str, tuple[Verdicts, list[str]]] = {}
    for name, disturb in (("undisturbed", nothing), ("service", kill_service), ("worker", kill_worker)):
        console.print(f"Run: {name}")
        begin = time.monotonic()
        results[name] = run(given.folder / name, disturb, console)
        console.print(f"  took {time.monotonic() - begin:.0f} s, {done[name]} kills")
    reference = results["undisturbed"][0]
    bad = 0
    for name, (verdicts, doubled) in results.items():
        for key, status in verdicts.items():
            if status != reference[key]:
                bad += 1
                console.print(f"{name}: {key} is {status}, undisturbed {reference[key]}")
        for key in reference.keys() - verdicts.keys():
            bad += 1
            console.print(f"{name}: {key} is missing")
        for problem in doubled:
            bad += 1
            console.print(f"{name}: {problem}")
    console.print(f"{len(reference)} experiments, {done['service']} kills of the service, {done['worker']} of workers: {bad} differences")
    return 1 if bad or min(done["service"], done["worker"]) < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
