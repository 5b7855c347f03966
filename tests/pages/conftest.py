"""A service with real experiments, and a browser that looks at it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import wichtel as wt
from wichtel.domain import (
    Algorithm,
    Choice,
    Constraint,
    ExperimentStatus,
    Float,
    Int,
    Intent,
    Objective,
    RunState,
    Space,
    StudySpec,
    StudyState,
    Trial,
)

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
#: Without a sandbox, since tests may run as root; and without a word to the network.
_OFF = "gpu quic background-networking component-update sync"
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in _OFF.split())]
EVIL = '<script>document.body.id = "evil"</script><img src=x onerror="document.body.id=\'evil\'">'


@dataclass(frozen=True)
class World:
    """A service, and what there is in it."""

    #: Markup that somebody smuggled into logs, errors and causes.
    words = EVIL

    url: str
    token: str
    client: wt.Client
    app: Any
    #: Experiments: one that met its intent, one that did not, one that failed, one whose words mean harm.
    good: str
    plain: str
    failed: str
    evil: str
    #: What the first of them was asked for with.
    registration: str
    #: A search with two hundred trials.
    study: str


def plan(folder: Path, name: str, **changes: str) -> Path:
    """A copy of the tiny model, with other code."""
    made = folder / name
    shutil.copytree(folder / "plan", made)
    code = (made / "plan.py").read_text()
    for old, new in changes.values():
        assert old in code
        code = code.replace(old, new)
    (made / "plan.py").write_text(code)
    return made


@pytest.fixture(scope="module")
def service(serving: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """One for all tests of the pages: what it takes to fill it is spent once."""
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def world(service: Any) -> Iterator[World]:
    """Experiments that a worker carried out."""
    client = wt.Client(url=service.url, token=service.token)
    folder = service.folder
    client.datasets.add("d", [folder / "d.csv"], time_column="t")
    # Knows nothing until somebody gives it more weight.
    shares = "p = self.shares_[x[:, 0].astype(int)]"
    weighed = plan(
        folder,
        "weighed",
        fit=("model = Shares()", "model = Shares()\nmodel.weight = weight"),
        use=(shares, f"{shares} if self.weight > 4 else x[:, 1] % 7 / 7"),
    )
    fails = f"def fit(self, x, y):\n        print({EVIL!r})\n        raise ValueError({EVIL!r})"
    broken = plan(folder, "broken", fit=("def fit(self, x, y):", fails))
    client.models.add("shop/weighed", weighed)
    client.models.add("shop/broken", broken)
    auc = Constraint(metric="auc", expectation="larger", threshold=0.01, relative=True)
    client.intents.put(Intent(name="better", primary="auc", constraints=(auc,)))
    register = client.register
    made = [
        register(["shop/weighed"], ["SetHyperparameters"], intent="better", parameters={"values": {"weight": 5}}),
        register(["shop/weighed"], ["TrainModel"], intent="better"),
        register(["shop/broken"], ["TrainModel"], intent="better"),
    ]
    ids = [one.experiments[0] for one in made]
    done = {e.id: e for e in client.experiments.wait(ids, timeout_seconds=120)}
    assert [done[i].status for i in ids[:2]] == [ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED]
    client.quota_groups.pause("default", "the tests look")
    evil = register(["shop/weighed"], ["TrainModel"], intent="better").experiments[0]
    client.experiments.finish(evil, ExperimentStatus.USER_ERROR, EVIL)
    client.quota_groups.resume("default")
    yield World(service.url, service.token, client, service.app, *ids, evil, made[0].id, searched(service.app))
    client.close()


def searched(app: Any, trials: int = 200, name: str = "searched", also: str = "") -> str:
    """A study that has ended, as a search would have left it, of one objective and perhaps another."""
    spec = StudySpec(
        id=name,
        name=f"{name} well",
        space=Space({"rate": Float(0.001, 1.0, log=True), "layers": Int(1, 8), "kind": Choice(["plain", "deep"])}),
        objectives=tuple(Objective(metric=metric, better="smaller") for metric in ("loss", also) if metric),
        entry="wichtel.tuning.function:call_named",
        pruner=None if also else Algorithm(name="median"),
        trials=trials,
        workers=4,
    )
    draw, began = random.Random(0), datetime.now(UTC) - timedelta(hours=1)
    done = []
    for number in range(trials):
        config = spec.space.sample(draw)
        stopped = number % 3 == 2
        loss = abs(config["rate"] - 0.1) + 0.02 * config["layers"] + 0.05 * draw.random() + 0.3 * stopped
        started = began + timedelta(seconds=number // 4 * 10)
        done.append(
            Trial(
                study=name,
                number=number,
                config=config,
                state=RunState.STOPPED if stopped else RunState.SUCCEEDED,
                metrics={"loss": loss} | ({also: 10.0 / config["layers"] + draw.random()} if also else {}),
                reason="its average by step 3, 0.9, is worse than the median" if stopped else "",
                created=started,
                started=started,
                ended=started + timedelta(seconds=4 if stopped else 9),
            )
        )
    with app.db.transaction() as tx:
        # In one transaction: no controller takes it up.
        tx.studies.add(spec)
        tx.studies.set_state(name, StudyState.RUNNING)
        tx.trials.put_many(done)
        tx.studies.set_state(name, StudyState.FINISHED, f"all {trials} trials are done")
    return name


def chromium() -> str:
    """The browser of this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.fail("There is no Chromium: run `make browser`, or install it.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), headless=True, args=ARGUMENTS)
        yield launched
        launched.close()


class Tab:
    """A page in a browser of its own, somebody logged in, and what it said on its console."""

    def __init__(self, browser: Any, world: World, *, scheme: str = "light", width: int = 1280, token: str = "") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=world.url)
        self.context.set_default_timeout(30_000)
        self.said: list[str] = []
        if token:
            answer = self.context.request.post("/login", form={"token": token}, headers={"Origin": world.url})
            assert answer.ok
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.fixture
def tab(browser: Any, world: World) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; the admin is logged in unless the token is said to be empty."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(Tab(browser, world, **{"token": world.token, **how}))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        pytest.fail("There is no axe-core: run `make assets`.")
    return AXE.read_text()
