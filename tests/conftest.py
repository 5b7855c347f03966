"""What every room's tests share: how Hypothesis behaves, and databases.

These are SQLite files, and a real PostgreSQL that each test process starts when a test first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from wichtel.store import Database
from wichtel.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from wichtel.app import App

# Other tests run beside these: how long an example takes says nothing.
settings.register_profile("wichtel", deadline=None, print_blob=True)
settings.load_profile("wichtel")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this test process."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _postgres_template(postgres: PostgresServer) -> str:
    name = postgres.create()
    Database.open(postgres.url(name), upgrade=True).close()
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database whose tables are up to date, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/wichtel.db"
        Database.open(url, upgrade=True).close()
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("_postgres_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    opened = Database.open(database_url)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Service:
    """A whole service in this process, listening on a port of its own."""

    app: App
    url: str
    #: An admin's.
    token: str
    #: ``d.csv`` is a dataset with time column ``t``; ``plan`` is the folder of a model of it that trains at once.
    folder: Path


PLAN = """
import numpy
from wichtel import plan, tunable

class Shares:
    def fit(self, x, y):
        self.shares_ = numpy.array([y[x[:, 0] == b].mean() if (x[:, 0] == b).any() else 0.5 for b in range(8)])
    def predict(self, x):
        return self.predict_proba(x)[:, 1] > 0.5
    def predict_proba(self, x):
        p = self.shares_[x[:, 0].astype(int)]
        return numpy.stack([1 - p, p], axis=1)

plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Categorical("city", buckets=8), plan.Numeric("size")])
weight = tunable.Int("weight", default=1, min=1, max=9)
model = Shares()
"""

JOB = """
[dataset]
name = "d"
label = "late"
[windows]
train = [2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z]
evaluation = [2020-01-02T00:00:00Z, 2020-01-03T00:00:00Z]
holdout = [2020-01-03T00:00:00Z, 2020-01-04T00:00:00Z]
"""


@contextmanager
def _serving(folder: Path) -> Iterator[Service]:
    from wichtel.app import App
    from wichtel.server import Background, listen
    from wichtel.settings import load_settings

    write_inputs(folder)
    app = App(load_settings({"home": folder / "home", "workers": 1, "bootstrap_resamples": 100, "requests_per_second": 0}))
    try:
        app.start()
        token = app.access.initialise()
        assert token is not None
        socket = listen("127.0.0.1", 0)
        with Background(app, socket):
            yield Service(app, f"http://127.0.0.1:{socket.getsockname()[1]}", token, folder)
    finally:
        app.stop()


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[Service]]:
    """Starts a service, in a folder of its own. One at a time: a process carries out workflows for one."""
    return lambda: _serving(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def service(serving: Callable[[], AbstractContextManager[Service]]) -> Iterator[Service]:
    """One service for all tests of a module; what they make in it needs names of their own.

    Not for all of a process, since Hypothesis takes other threads' random numbers for its own.
    """
    with serving() as started:
        yield started


def write_inputs(folder: Path) -> None:
    """``d.csv`` and ``plan``."""
    # One example every ten minutes, for three days.
    times = (f"2020-01-0{1 + i // 144}T{i % 144 // 6:02}:{i % 6}0:00Z" for i in range(3 * 144))
    rows = [f"{time},c{i % 4},{i * 7 % 50},{int(i * i % 7 < 2 + i % 4)}" for i, time in enumerate(times)]
    (folder / "d.csv").write_text("\n".join(["t,city,size,late", *rows]) + "\n")
    (folder / "plan").mkdir()
    (folder / "plan/plan.py").write_text(PLAN)
    (folder / "plan/job.toml").write_text(JOB)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with ``d.csv`` and ``plan``, as `Service.folder` has them."""
    write_inputs(tmp_path)
    return tmp_path
