"""Registers experiments through a proxy while replicas are killed and the database is restarted, and counts what went wrong.

``make chaos``, or ``python scripts/chaos.py [--seconds 1200] [--experiments 500] [--seed 1] [--folder build/chaos]``

On one PostgreSQL, three replicas of each role (api, orchestrator, controller) and the proxy of scripts/proxy.py. First one experiment of
each kind runs undisturbed: that is the status which its kind has to reach. Then, for ``--seconds``, a replica drawn at random is killed
(kill -9) every ``--mean-seconds`` on average and started again a moment later, the database is cut off and started again twice, and a
client registers ``--experiments`` experiments, reads, and cancels. When all have finished:

- each has the status of its kind, and ended once;
- no model, version, run or trial is there twice, and each candidate that should be there is;
- each experiment is in the export once;
- none is in two e-mails. One that is in none was being handed over when its sender was killed or the database cut off: it is shown as
  *unknown* (docs/adr/0010), is counted by itself, and there are no more of these than there were such interruptions. None is missing
  otherwise;
- no request of the client failed: it asks again for as long as any client of ours does.

A table says what was checked, and how much of it was broken. Exit code 0 only if nothing was.
"""

from __future__ import annotations

import argparse
import email
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from wichtel.client import Client  # noqa: E402
from wichtel.client.client import home_token  # noqa: E402
from wichtel.domain import Experiment, NotificationState, QuotaGroup, WichtelError  # noqa: E402
from wichtel.testing.postgres import PostgresServer  # noqa: E402
from wichtel.testing.replicas import ReplicaProcess, free_port  # noqa: E402

ROLES = ("api", "orchestrator", "controller")
ADDRESS = "chaos@example.org"
#: How long experiments may take to finish when nothing is disturbed any more.
PATIENCE_SECONDS = 1800.0
#: How long mails may take then: the job that sends them is taken from a dead holder after a minute.
MAIL_SECONDS = 180.0
PROGRESS_SECONDS = 20.0

#: The model has no randomness and ignores its tunable: its candidates are as good as it is, and no better.
NEUTRAL = {"name": "n", "primary": "auc", "constraints": [{"metric": "auc", "expectation": "larger", "threshold": -0.001}]}
BETTER = {"name": "b", "primary": "auc", "constraints": [{"metric": "auc", "expectation": "larger", "threshold": 0.5}]}


@dataclass(frozen=True)
class Kind:
    """Experiments that end alike."""

    name: str
    model: str
    protocol: dict[str, Any]
    #: Of a hundred experiments.
    share: int
    cancel: bool = False


KINDS = (
    Kind("train", "city", {"protocol": "TrainModel", "overrides": {"intent": NEUTRAL}}, 35),
    Kind("set", "city", {"protocol": "SetHyperparameters", "parameters": {"values": {"weight": 3}}, "overrides": {"intent": NEUTRAL}}, 20),
    Kind("worse", "city", {"protocol": "TrainModel", "overrides": {"intent": BETTER}}, 20),
    Kind("broken", "broken", {"protocol": "TrainModel", "overrides": {"intent": NEUTRAL}}, 10),
    Kind("tune", "city", {"protocol": "TuneHyperparameters", "parameters": {"trials": 3}, "overrides": {"intent": NEUTRAL}}, 5),
    Kind("canceled", "idle", {"protocol": "TrainModel", "overrides": {"intent": NEUTRAL}}, 10, cancel=True),
)


class Mailbox:
    """A mail server that keeps what it is sent."""

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller

        self.messages: list[str] = []
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        message = email.message_from_bytes(envelope.content)
        parts = [part.get_payload(decode=True) for part in message.walk() if part.get_content_type() == "text/plain"]
        self.messages.append(b"\n".join(part for part in parts if isinstance(part, bytes)).decode("utf-8", "replace"))
        return "250 OK"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def mentions(self) -> Counter[str]:
        """Experiment → in how many mails it is."""
        return Counter(e for text in self.messages for e in set(re.findall(r"\be-[2-9a-z]{10}\b", text)))


@dataclass
class Tally:
    """What happened to the client, and what was done to the service."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    database: int = 0
    starts_failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, what: str, function: Callable[[], Any]) -> Any:
        """Make a call of the client; note how it went. None if it failed."""
        begin = time.monotonic()
        try:
            return function()
        except (WichtelError, OSError) as error:
            with self.lock:
                self.failed.append(f"{what} failed after {time.monotonic() - begin:.1f} s: {type(error).__name__}: {error}")
            return None
        finally:
            with self.lock:
                self.requests += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)


class Service:
    """Three replicas of each role, and what they need."""

    def __init__(self, folder: Path, replicas: int) -> None:
        self.folder = folder
        self.mailbox = Mailbox()
        self.postgres = PostgresServer()
        environment = {
            "WICHTEL_DATABASE_URL": self.postgres.url(self.postgres.create()),
            "WICHTEL_HOME": str(folder / "home"),
            "WICHTEL_BOOTSTRAP_RESAMPLES": "100",
            "WICHTEL_WORKERS": "2",
            "WICHTEL_DEFAULT_QUOTA": "6",
            "WICHTEL_LOG_FORMAT": "json",
            "WICHTEL_SMTP_URL": f"smtp://127.0.0.1:{self.mailbox.port}",
        }
        subprocess.run([sys.executable, "-m", "wichtel", "db", "upgrade"], env={**os.environ, **environment}, check=True)
        self.replicas = [ReplicaProcess(f"{role}-{n}", role, environment, folder) for role in ROLES for n in range(1, replicas + 1)]
        self.port = free_port()
        self._proxy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.mailbox.start()
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            replica.wait_ready(600)
        addresses = [replica.url for replica in self.replicas if replica.roles == "api"]
        command = [sys.executable, str(ROOT / "scripts" / "proxy.py"), "--port", str(self.port), *addresses]
        self._proxy = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._proxy.stdout is not None
        self._proxy.stdout.readline()

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", home_token(self.folder / "home") or "")

    def stop(self) -> None:
        for replica in self.replicas:
            replica.kill()
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait()
        self.mailbox.stop()
        self.postgres.stop()


def disturb(service: Service, given: argparse.Namespace, known: dict[str, Kind], tally: Tally, over: threading.Event) -> None:
    """Kill replicas and the database until `over`."""
    chance = random.Random(given.seed)
    begin = time.monotonic()
    outages = [given.seconds * (n + 1) / (given.database_restarts + 1) for n in range(given.database_restarts)]
    next_kill = begin + chance.expovariate(1 / given.mean_seconds)
    again: dict[str, float] = {}
    told = begin
    while not over.wait(0.1):
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            done = f"{len(known)} experiments registered, {sum(tally.kills.values())} kills, {tally.requests} calls"
            print(f"{now - begin:6.0f} s  {done}, {len(tally.failed)} failed", flush=True)
        if outages and now - begin > outages[0]:
            outages.pop(0)
            service.postgres.halt()
            time.sleep(chance.uniform(0.5, 2.0))
            service.postgres.start()
            tally.database += 1
            print(f"{now - begin:6.0f} s  the database was cut off and started again", flush=True)
        if now > next_kill:
            next_kill = now + chance.expovariate(1 / given.mean_seconds)
            living = [replica for replica in service.replicas if replica.alive]
            if living:
                victim = chance.choice(living)
                victim.kill()
                tally.kills[victim.roles] += 1
        for replica in service.replicas:
            # As a supervisor would: whatever ended it, it is started again.
            if not replica.alive:
                if replica.name not in again:
                    again[replica.name] = now + chance.uniform(0.2, 3.0)
                elif now > again[replica.name]:
                    del again[replica.name]
                    if replica.process.returncode != -9:
                        tally.starts_failed += 1
                    replica.start()


def register(client: Client, kind: Kind, key: str, tally: Tally) -> list[str]:
    """One experiment of `kind`, canceled at once if that is how it ends."""
    made = tally.call("register", lambda: client.register([kind.model], [kind.protocol], idempotency_key=key))
    found = list(made.experiments) if made is not None else []
    if kind.cancel:
        for experiment in found:
            tally.call("cancel", lambda experiment=experiment: client.experiments.cancel(experiment))
    return found


def read(client: Client, known: dict[str, Kind], tally: Tally, over: threading.Event) -> None:
    """Ask for this and that until `over`."""
    chance = random.Random(2)
    while not over.wait(0.3):
        tally.call("list models", client.models.list)
        tally.call("health", client.health.get)
        if known:
            experiment = chance.choice(list(known))
            tally.call("get", lambda experiment=experiment: client.experiments.get(experiment))


def wait_for(client: Client, known: dict[str, Kind], tally: Tally) -> list[Experiment]:
    """All of them when they have finished, or as they stand when patience is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [tally.call("get", lambda e=e: client.experiments.get(e)) for e in known]
        waiting = sum(e is None or e.finished is None for e in found)
        if not waiting or time.monotonic() > deadline:
            return [e for e in found if e is not None]
        print(f"          {waiting} of {len(found)} are not finished", flush=True)
        time.sleep(5)


#: Promise → how many things were looked at, and what broke it, in words.
Checks = dict[str, tuple[int, list[str]]]


def check_ends(client: Client, known: dict[str, Kind], found: list[Experiment], reference: dict[str, str]) -> Checks:
    """Whether experiments ended as they do undisturbed, and once."""
    wrong = [
        f"{e.id} ({known[e.id].name}) is {e.status or e.state}, undisturbed {reference[known[e.id].name]}: {e.cause}"
        for e in found
        if f"{e.status}" != reference[known[e.id].name]
    ]
    lost = [f"{e} cannot be read" for e in known.keys() - {e.id for e in found}]
    ends = Counter(e.subject.partition("/")[2] for e in client.events.list(limit=None) if e.kind == "experiment.finished")
    judged = [e for e in found if f"{e.status}" in ("SATISFIED", "UNSATISFIED")]
    registered = Counter(e.id for e in client.experiments.each())
    return {
        "statuses as undisturbed": (len(known), wrong + lost),
        "experiments, as many as registered": (len(registered), [f"{e} was never asked for" for e in registered.keys() - known.keys()]),
        "ends, one each": (len(known), [f"{e} ended {ends[e]} times" for e in known if ends[e] != 1]),
        "results, one for each verdict": (len(judged), [f"{e.id} has no result" for e in judged if e.result is None]),
    }


def check_models(client: Client, known: dict[str, Kind]) -> Checks:
    """Whether versions, runs and trials are there, and once."""
    problems: list[str] = []
    count = 0
    for model in sorted({kind.model for kind in KINDS}):
        versions = client.models.versions(model)
        count += len(versions)
        problems += [f"version {v} is there {n} times" for v, n in Counter(v.id for v in versions).items() if n > 1]
        made = Counter(v.experiment for v in versions if v.experiment)
        problems += [f"{e} made {n} versions" for e, n in made.items() if n > 1]
        wanted = [e for e, kind in known.items() if kind.model == model and kind.name in ("train", "set", "worse", "tune")]
        problems += [f"the candidate of {e} is missing" for e in wanted if e not in made]
    runs = Counter(r.spec.id for r in client.runs.list(limit=None))
    tuned = [e for e, kind in known.items() if kind.name == "tune"]
    trials = {e: sorted(t.number for t in client.studies.trials(f"{e}/study")) for e in tuned}
    return {
        "models and candidates, one each": (count, problems),
        "runs, one each": (len(runs), [f"run {r} is there {n} times" for r, n in runs.items() if n > 1]),
        "trials, three a study": (3 * len(tuned), [f"the trials of {e} are {n}" for e, n in trials.items() if n != [0, 1, 2]]),
    }


def check_export(client: Client, folder: Path, known: dict[str, Kind]) -> Checks:
    """Whether each experiment has one row."""
    import polars as pl

    client.jobs.run("export", wait_seconds=300)
    rows: Counter[str] = Counter()
    for file in sorted((folder / "home" / "exports").rglob("*.parquet")):
        rows.update(pl.read_parquet(file)["id"].to_list())
    return {"export rows, one each": (rows.total(), [f"{e} is in the export {rows[e]} times" for e in known if rows[e] != 1])}


def check_mails(client: Client, mailbox: Mailbox, known: dict[str, Kind], tally: Tally) -> Checks:
    """Whether each experiment is in one mail, or told to be unknown; and there are no more of these than senders were interrupted."""
    deadline = time.monotonic() + MAIL_SECONDS
    while True:
        mentions = mailbox.mentions()
        states = {n.experiment: n.state for n in client.notifications.list(limit=None)}
        if all(mentions[e] or states.get(e) is NotificationState.UNKNOWN for e in known) or time.monotonic() > deadline:
            break
        time.sleep(1)
    silent = [e for e in known if not mentions[e]]
    # One whose sender was killed is *sending* until it is given up, ten minutes later.
    unknown = [e for e in silent if states.get(e) in (NotificationState.UNKNOWN, NotificationState.SENDING)]
    interruptions = tally.kills["orchestrator"] + tally.database
    too_many = [f"{len(unknown)} mails are unknown after {interruptions} interruptions"] if len(unknown) > interruptions else []
    return {
        "mails, none twice": (len(mailbox.messages), [f"{e} is in {n} mails" for e, n in mentions.items() if n > 1]),
        "mails, none missing": (len(known), [f"{e} is in no mail, and {states.get(e)}" for e in silent if e not in unknown]),
        "mails unknown, at most one an interruption": (len(unknown), too_many),
    }


def show(checks: Checks) -> int:
    """Print them as a table; return how much is broken."""
    width = max(map(len, checks))
    print(f"\n{'promise':{width}}  checked  broken")
    for promise, (count, broken) in checks.items():
        print(f"{promise:{width}}  {count:7}  {len(broken):6}")
    for promise, (_, broken) in checks.items():
        for problem in broken:
            print(f"{promise}: {problem}")
    return sum(len(broken) for _, broken in checks.values())


def prepare(client: Client, folder: Path) -> None:
    """The models, a group whose experiments wait for ever, and a channel for mail."""
    from tests.conftest import PLAN, write_inputs

    write_inputs(folder)
    shutil.copytree(folder / "plan", folder / "broken")
    (folder / "broken" / "plan.py").write_text(
        PLAN.replace("    def fit(self, x, y):", "    def fit(self, x, y):\n        raise ValueError('no')")
    )
    client.datasets.add("d", [str(folder / "d.csv")], time_column="t")
    client.quota_groups.put(QuotaGroup(name="waiting", max_in_progress=0))
    client.models.add("city", folder / "plan")
    client.models.add("broken", folder / "broken")
    client.models.add("idle", folder / "plan", team="waiting")
    client.channels.add("email", ADDRESS)


def main() -> int:
    """Run it; 0 if nothing went wrong."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=1200.0, help="How long the service is disturbed.")
    arguments.add_argument("--experiments", type=int, default=500)
    arguments.add_argument("--replicas", type=int, default=3, help="Of each role.")
    arguments.add_argument("--mean-seconds", type=float, default=10.0, help="Mean time between kills.")
    arguments.add_argument("--database-restarts", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=ROOT / "build" / "chaos")
    given = arguments.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    service = Service(given.folder, given.replicas)
    tally = Tally()
    known: dict[str, Kind] = {}
    over = threading.Event()
    try:
        service.start()
        with service.client() as client:
            prepare(client, given.folder)
            first = {e: kind for kind in KINDS for e in register(client, kind, f"undisturbed-{kind.name}", tally)}
            reference = {first[e.id].name: f"{e.status}" for e in wait_for(client, first, tally)}
            print(f"undisturbed: {', '.join(f'{name} {status}' for name, status in reference.items())}", flush=True)
            if tally.failed:
                raise SystemExit("\n".join(tally.failed))
            known.update(first)
            threads = [
                threading.Thread(target=register_all, args=(client, given, known, tally, over)),
                threading.Thread(target=read, args=(service.client(), known, tally, over)),
            ]
            for thread in threads:
                thread.start()
            try:
                # In this thread, because PostgreSQL dies with the thread that started it.
                disturb(service, given, known, tally, over)
            finally:
                over.set()
                for thread in threads:
                    thread.join()
            for replica in service.replicas:
                if not replica.alive:
                    replica.start()
            found = wait_for(client, known, tally)
            checks = check_ends(client, known, found, reference) | check_models(client, known)
            checks |= check_export(client, given.folder, known) | check_mails(client, service.mailbox, known, tally)
    finally:
        service.stop()
    checks["requests of a retrying client, none failed"] = (tally.requests, tally.failed)
    broken = show(checks)
    statuses = Counter(f"{e.status}" for e in found)
    print(f"\n{len(known)} experiments: {', '.join(f'{n} {status}' for status, n in statuses.most_common())}")
    print(f"killed: {', '.join(f'{n} {role}' for role, n in tally.kills.most_common()) or 'nobody'}; the database {tally.database} times")
    print(f"{tally.starts_failed} replicas ended by themselves, and were started again")
    print(f"the slowest of {tally.requests} calls took {tally.slowest:.1f} s, what was asked again included")
    print("nothing is broken" if not broken else f"{broken} BROKEN")
    return 1 if broken else 0


def register_all(client: Client, given: argparse.Namespace, known: dict[str, Kind], tally: Tally, over: threading.Event) -> None:
    """Register over four fifths of the time, wait for the rest of it, and say that it is over."""
    chance = random.Random(given.seed + 1)
    begin = time.monotonic()
    kinds = chance.choices(KINDS, weights=[kind.share for kind in KINDS], k=given.experiments)
    for number, kind in enumerate(kinds):
        if over.wait(max(0.0, begin + 0.8 * given.seconds * number / len(kinds) - time.monotonic())):
            return
        known.update(dict.fromkeys(register(client, kind, f"chaos-{given.seed}-{number}", tally), kind))
    over.wait(max(0.0, begin + given.seconds - time.monotonic()))
    over.set()


if __name__ == "__main__":
    sys.exit(main())
