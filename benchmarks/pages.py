"""How soon each web page is there with two years of use in the database, how much it loads, and what pages cost that nobody touches.

Run as ``python benchmarks/pages.py [--experiments N] [--trials N] [--repeats N] [--seconds N] [--only WORD] [--pictures FOLDER]
[--keep FOLDER] [--quick]``.

1. A PostgreSQL that waits for its disk is filled with 100,000 experiments, 1,000,000 trials and the rest (`population.py`), with one study
   of a twentieth of all trials, and one experiment whose workflow has 200 steps and was carried out. One process serves it.
2. Chromium opens each page, 1280 × 900, in a profile that has nothing but the login (first load), and once more (again). A page is *there*
   when the last part of it was put into the document or drawn: from the start of the navigation to the second frame after the last change
   of the document, once every chart in view is drawn, and 400 ms have brought nothing more. Requests and bytes are those that went
   over the wire, headers included; the stream of events counts as a request.
3. Twenty people have five pages open each: connections with a session that do as `live.js` does. Of a while in which nothing happens: the
   share of a core that the server took, and by how much its memory grew for each page that was opened.

Browser, clients, service and database share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import sqlalchemy as sa
from api_latency import served
from machine import machine
from population import ANALYSIS, populate

from wichtel.app import App
from wichtel.domain import Dataset, ExperimentState, Model, ModelVersion
from wichtel.experiments import NewPrincipal, Principal, ProtocolRequest, RegisterModels, Role
from wichtel.plans import SourceTree
from wichtel.server import write_token
from wichtel.settings import load_settings
from wichtel.store import Artifacts, Database, tables
from wichtel.testing.postgres import PostgresServer

#: What a page may take: until it is there, in requests, in bytes.
SECONDS, REQUESTS, BYTES = 0.5, 12, 500_000
#: What pages that nobody touches may take of the server: of a core, and of memory for each.
CORE, PAGE_BYTES = 0.1, 40_000
PEOPLE, PAGES_EACH = 20, 5
#: After a page with charts is there, it fetches what they need once somebody points at them.
LATER_MS = 2_000

WIDE = '''
from wichtel.domain import ExperimentStatus
from wichtel.protocols import Protocol
from wichtel.workflows import Graph, Step

class Wide(Protocol):
    """Two hundred steps."""

    name, kind = "Wide", "wide"

    def graph(self, services):
        def prepare(context, inputs):
            given = inputs["input"]
            with services.db.transaction() as tx:
                tx.experiments.set_workflow(given["experiment"], given["generation"], context.workflow)
            return {}
        def finish(context, inputs):
            services.finish(inputs["input"]["experiment"], ExperimentStatus.UNSATISFIED, "Two hundred steps were carried out.")
            return {}
        names = [[f"layer_{n:02}_part_{k}" for k in range(9)] for n in range(22)]
        steps = [Step("prepare", prepare)]
        for n, layer in enumerate(names):
            for k, name in enumerate(layer):
                after = ("prepare",) if n == 0 else tuple({names[n - 1][k], names[n - 1][(k + 1) % 9]})
                steps.append(Step(name, lambda context, inputs: {"examples": 1000}, after=after))
        steps.append(Step("report", finish, after=tuple(names[-1])))
        return Graph("protocol/Wide", tuple(steps))
'''

#: Page → its address.
PAGES = {
    "home": "/",
    "search": "/experiments",
    "search, a query": "/experiments?query=status:SATISFIED%20team:{team}&sort=-delta.auc",
    "experiment": "/experiments/{experiment}",
    "experiment, 200 steps": "/experiments/{wide}",
    "launch": "/launch?model={model}&protocol=TuneHyperparameters",
    "analysis": "/analysis?query=model:{model}%20protocol:SetHyperparameters",
    "studies": "/studies",
    "study, the largest": "/studies/s-000000",
    "study of 500": "/studies/s-000001",
    "models": "/models",
    "model": "/models/{model}",
    "onboarding": "/onboarding",
    "protocols": "/protocols",
    "protocol": "/protocols/TuneHyperparameters",
    "registrations": "/registrations",
    "registration": "/registrations/{registration}",
    "datasets": "/datasets",
    "dataset": "/datasets/clicks",
    "intents": "/intents",
    "queue": "/queue",
    "usage": "/usage",
    "health": "/health",
    "admin": "/admin",
    "me": "/me",
}
#: What people leave open.
OPEN = ("home", "search", "experiment", "queue", "study of 500", "registrations", "models", "search, a query")

#: Runs in the page before anything of its own. `since`: when what is seen last changed; `whole`: whether all that is in view is drawn.
WATCH = """
(() => {
  const state = window.__bench = { since: 0 };
  let coming = 0;
  const noticed = () => {
    coming += 1;
    requestAnimationFrame(() => requestAnimationFrame(() => { state.since = performance.now(); coming -= 1; }));
  };
  new MutationObserver((changes) => {
    // Times that are kept true change text only.
    if (changes.some((change) => [...change.addedNodes].some((node) => node.nodeType === 1))) noticed();
  }).observe(document, { childList: true, subtree: true });
  const inView = (element) => {
    const box = element.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0 && box.width > 0;
  };
  state.there = () => {
    if (document.readyState !== "complete" || !state.since || coming) return null;
    const waiting = [...document.querySelectorAll("[data-chart]")].some((chart) => inView(chart) && !chart.querySelector("canvas, svg"));
    return !waiting && performance.now() - state.since > 400 ? state.since : null;
  };
})();
"""
_OFF = "gpu quic background-networking component-update sync"
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in _OFF.split())]


@dataclass
class Load:
    """One load of a page."""

    status: int = 0
    seconds: float = 0.0
    requests: int = 0
    bytes: int = 0
    said: list[str] = field(default_factory=list)


def plugin(folder: Path) -> None:
    """Install the protocol of 200 steps, for this process and those it starts."""
    told = folder / "wide_bench-1.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (folder / "wide_bench.py").write_text(WIDE)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: wide-bench\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[wichtel.protocols]\nWide = wide_bench:Wide\n")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def carry_out_wide(url: str, home: Path) -> str:
    """Have the experiment of 200 steps carried out; its id."""
    admin = Principal(name="admin", team="default", role=Role.ADMIN)
    with App(load_settings({"home": home, "database_url": url, "log_level": "warning"})) as app:
        token = app.access.initialise()
        assert token is not None
        write_token(home, token)
        with app.db.transaction() as tx:
            tx.versions.add(ModelVersion(id="v-wide", model="bench/wide", tree="0" * 64, analysis=ANALYSIS, created=tx.now))
            tx.models.add(Model(name="bench/wide", owner="admin", team="bench", head="v-wide", created=tx.now))
            columns = {"time": "timestamp[us, tz=UTC]", "clicked": "int8", **{f.name: "double" for f in ANALYSIS.features}}
            job = ANALYSIS.job
            assert job.holdout is not None
            span = {"start": job.train.start, "end": job.holdout.end}
            clicks = Dataset(
                name="clicks", digest="0" * 64, time_column="time", columns=columns, rows=10**9, owner="admin", created=tx.now, **span
            )
            tx.datasets.add(clicks)
        for n in range(PEOPLE):
            app.principals.add(NewPrincipal(name=f"reader-{n:02}", team="bench", role="viewer"), admin)
        app.start(("orchestrator",))
        request = RegisterModels(models=("bench/wide",), protocols=(ProtocolRequest(protocol="Wide"),))
        identity = app.experiments.register_models(request, admin).experiments[0]
        while app.experiments.get(identity).state is not ExperimentState.FINISHED:
            time.sleep(0.1)
        e, steps = app.experiments.get(identity), app.experiments.steps(identity)
        assert len(steps) == 200, e.cause
    return identity


def filled(url: str, folder: Path, experiments: int, trials: int) -> dict[str, str]:
    """Fill an empty database; what the addresses are about."""
    began = time.monotonic()
    database = Database.open(url, upgrade=True)
    wide = carry_out_wide(url, folder)
    populate(database, models=max(100, experiments // 50), experiments=experiments, studies=max(2, trials // 500), trials=trials)
    with database.read() as tx:
        model = next(m for m in tx.models.list(limit=10) if m.team != "bench")
        e = next(e for e in tx.experiments.search("status:SATISFIED", limit=10).items)
    # Populated without their sources, of which the page of a model shows the head's.
    tree = SourceTree({"plan.py": b"# A plan.\n", "job.toml": b"# A job.\n"}).save(Artifacts(str(folder / "artifacts")))
    with database.transaction() as tx:
        tx.connection.execute(sa.update(tables.versions).where(tables.versions.c.model == model.name).values(tree=tree))
    database.close()
    print(f"{experiments:,} experiments and {trials:,} trials, written in {time.monotonic() - began:.0f} s")
    return {"wide": wide, "experiment": e.id, "registration": e.registration, "model": model.name, "team": model.team}


class Watched:
    """Chromium's tab, and what it loads."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.page.add_init_script(WATCH)
        self._wire = context.new_cdp_session(self.page)
        self._wire.send("Network.enable")
        self._load = Load()
        self._cached: set[str] = set()
        self._wire.on("Network.requestWillBeSent", self._sent)
        self._wire.on("Network.requestServedFromCache", self._from_cache)
        self._wire.on("Network.responseReceived", self._answered)
        self._wire.on("Network.loadingFinished", self._finished)
        self.page.on("console", lambda message: self._load.said.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self._load.said.append(str(error)))

    def _sent(self, event: dict[str, Any]) -> None:
        self._load.requests += not event["request"]["url"].startswith("data:")

    def _from_cache(self, event: dict[str, Any]) -> None:
        self._load.requests -= event["requestId"] not in self._cached
        self._cached.add(event["requestId"])

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._from_cache(event)

    def _finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] not in self._cached:
            self._load.bytes += int(event["encodedDataLength"])

    def load(self, address: str) -> Load:
        """Go there, and wait until it is."""
        self._load = load = Load()
        answer = self.page.goto(address, wait_until="commit")
        load.status = answer.status
        if answer.ok:
            deadline = time.monotonic() + 30
            # Asked from outside: the page forbids what Playwright's own way to wait would do in it.
            while (there := self.page.evaluate("window.__bench.there()")) is None:
                assert time.monotonic() < deadline, f"{address} does not come to rest"
                self.page.wait_for_timeout(100)
            load.seconds = there / 1e3
            # What is fetched for later counts, too.
            self.page.wait_for_timeout(LATER_MS if self.page.locator("[data-chart]").count() else 0)
        return load


def looked_at(url: str, token: str, pages: dict[str, str], repeats: int, pictures: Path | None) -> dict[str, tuple[list[Load], list[Load]]]:
    """Open each page in a fresh profile, and once more in the same."""
    from playwright.sync_api import sync_playwright

    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    found: dict[str, tuple[list[Load], list[Load]]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, headless=True, args=ARGUMENTS)
        door = browser.new_context(base_url=url)
        assert door.request.post("/login", form={"token": token}, headers={"Origin": url}).ok
        key = door.storage_state()

        def twice(address: str) -> tuple[Load, Load]:
            context = browser.new_context(base_url=url, storage_state=key, viewport={"width": 1280, "height": 900})
            tab = Watched(context)
            first = tab.load(address)
            again = tab.load(address) if first.status < 400 else first
            if pictures is not None and first.status < 400:
                tab.page.screenshot(path=pictures / f"{re.sub('[^a-z0-9]+', '-', name)}.png")
            context.close()
            return first, again

        for name, address in pages.items():
            found[name] = ([], [])
            if twice(address)[0].status >= 400:  # the first of all is for the service to warm up
                found[name] = ([Load(status=404)], [])
                continue
            for _ in range(repeats):
                for loads, load in zip(found[name], twice(address), strict=True):
                    loads.append(load)
        browser.close()
    return found


def show(found: dict[str, tuple[list[Load], list[Load]]]) -> None:
    """The table; what misses its goal is marked."""
    columns = ("there, ms", "longest", "requests", "KB", "again, ms", "requests", "KB")
    print(f"\n{'':24}" + "".join(f"{name:>11}" for name in columns))
    for name, (first, again) in found.items():
        if not again:
            print(f"{name:24}  there is none")
            continue
        seconds = statistics.median(load.seconds for load in first)
        requests, size = max(load.requests for load in first), max(load.bytes for load in first)
        figures = [
            f"{seconds * 1e3:.0f}",
            f"{max(load.seconds for load in first) * 1e3:.0f}",
            f"{requests}",
            f"{size / 1e3:.0f}",
            f"{statistics.median(load.seconds for load in again) * 1e3:.0f}",
            f"{max(load.requests for load in again)}",
            f"{max(load.bytes for load in again) / 1e3:.0f}",
        ]
        missed = [what for what, much in (("time", seconds > SECONDS), ("requests", requests > REQUESTS), ("bytes", size > BYTES)) if much]
        missed += ["console: " + text for load in first[:1] for text in load.said[:1]]
        print(f"{name:24}" + "".join(f"{figure:>11}" for figure in figures) + (f"  MISSED: {', '.join(missed)}" if missed else ""))


class OpenPage:
    """A page that somebody has open, as `live.js` keeps it true."""

    def __init__(self, http: httpx2.AsyncClient, address: str, fetched: list[int]) -> None:
        self._http = http
        self._address = address
        self._fetched = fetched
        self._subjects: list[str] = []
        self._cursor = 0

    async def open(self) -> None:
        """Load it."""
        answer = await self._http.get(self._address, headers={"Accept": "text/html"})
        answer.raise_for_status()
        self._read(answer.text)
        self._cursor = int((re.findall(r'data-cursor="(\d+)"', answer.text) or ["0"])[0])

    def _read(self, text: str) -> None:
        self._subjects = re.findall(r'data-live="([^"]*)"', text)

    async def watch(self, connected: asyncio.Semaphore) -> None:
        """Hold its stream, and fetch it anew when something happened to what it is about."""
        if not self._subjects:
            connected.release()
            return
        subject = os.path.commonprefix(self._subjects)  # noqa: RUF071 of characters, as there
        query = f"subject={quote(subject, safe='')}&cursor={self._cursor}"
        async with self._http.stream("GET", f"/v1/events:stream?{query}", timeout=None) as stream:
            stream.raise_for_status()
            connected.release()
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                about = json.loads(line[5:]).get("subject", "")
                if any(about == s or about.startswith(s if s.endswith("/") else s + "/") for s in self._subjects):
                    await asyncio.sleep(0.4)
                    answer = await self._http.get(self._address, headers={"Accept": "text/html", "HX-Request": "true"})
                    self._fetched.append(len(answer.content))
                    self._read(answer.text)


def used(pid: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), resident


async def left_open(url: str, token: str, pid: int, addresses: list[str], seconds: float) -> None:
    """Open the pages, let them be, and say what that takes."""
    async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as admin:
        tokens = [(await admin.post("/v1/tokens", json={"name": f"reader-{n:02}"})).json()["token"] for n in range(PEOPLE)]
    people = [httpx2.AsyncClient(base_url=url, headers={"Origin": url}, timeout=60) for _ in tokens]
    for http, own in zip(people, tokens, strict=True):
        assert (await http.post("/login", data={"token": own})).status_code == 303
    fetched: list[int] = []
    # As a service that has been up for a while: each page was asked for before.
    for http in people:
        for address in addresses:
            await OpenPage(http, address, fetched).open()
    await asyncio.sleep(2)
    _, before = used(pid)
    pages = [OpenPage(http, addresses[(n + k) % len(addresses)], fetched) for n, http in enumerate(people) for k in range(PAGES_EACH)]
    for page in pages:
        await page.open()
    connected = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(page.watch(connected)) for page in pages]
    for _ in tasks:
        await asyncio.wait_for(connected.acquire(), 60)
    await asyncio.sleep(2)
    began, (spent, _) = time.monotonic(), used(pid)
    await asyncio.sleep(seconds)
    now, after = used(pid)
    share, each = (now - spent) / (time.monotonic() - began), (after - before) / len(pages)
    print(f"\n{PEOPLE} people with {PAGES_EACH} pages each, nothing happens for {seconds:.0f} s:")
    print(f"{share:.1%} of a core{' MISSED' * (share >= CORE)}, {each / 1e3:.0f} KB for each page{' MISSED' * (each >= PAGE_BYTES)}")
    for task in tasks:
        task.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) or end is None for end in told), told
    for http in people:
        await http.aclose()


def main() -> None:
    """Fill, serve, look and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5, help="how often each page is opened")
    parser.add_argument("--seconds", type=float, default=60, help="how long the open pages are left alone")
    parser.add_argument("--only", help="only pages with this in their name")
    parser.add_argument("--pictures", type=Path, help="a folder for what was seen")
    parser.add_argument("--keep", type=Path, help="a folder with a short path for what was filled; a later run finds it there")
    parser.add_argument("--quick", action="store_true", help="2,000 experiments, 20,000 trials, each page twice, 10 s")
    options = parser.parse_args()
    if options.quick:
        options.experiments, options.trials, options.repeats, options.seconds = 2_000, 20_000, 2, 10
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    print(machine())
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        plugin(folder / "plugins")
        server = PostgresServer(durable=True, folder=options.keep and folder / "pg")
        stack.callback(server.stop)
        told = folder / "there.json"
        if not told.exists():
            url = server.url(server.create())
            there = {"url": url, **filled(url, folder, options.experiments, options.trials)}
            told.write_text(json.dumps(there))
        there = json.loads(told.read_text())
        pages = {name: address.format(**there) for name, address in PAGES.items() if not options.only or options.only in name}
        address, token, pid = stack.enter_context(served(there["url"], folder))
        found = looked_at(address, token, pages, options.repeats, options.pictures)
        show(found)
        idle = [PAGES[name].format(**there) for name in OPEN if not options.only and found[name][1]]
        if idle:
            asyncio.run(left_open(address, token, pid, idle, options.seconds))


if __name__ == "__main__":
    main()
