"""What happens in the demo, and when: beside the service, in a thread that does what people would do with it."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from wichtel.demo import asked
from wichtel.demo.flights import data_folder, flights
from wichtel.domain import AlreadyExists, Experiment, ExperimentState, ExperimentStatus, InvalidInput, NotFound
from wichtel.experiments import Principal, RegisterModels, Rerun, Role
from wichtel.experiments.rerun import Seed
from wichtel.plans import SourceTree
from wichtel.settings import ROLES

if TYPE_CHECKING:
    from wichtel.app import App
    from wichtel.settings import Settings

#: Where the demo lives unless somebody says otherwise.
HOME = Path("~/.wichtel-demo")
#: In its home: it is a demo's.
MARK = "demo"
#: Tokens of its people, for their owner's eyes.
TOKENS = "demo-tokens"
#: Between looks at what has finished.
LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)
_MODELS = Path(__file__).parent / "models"


class Demo:
    """Fills a service while it serves. Used as a context manager; what is not done at its end is done at the next start.

    Args:
        app: The services, started.
        say: Told what happens, in words.
    """

    def __init__(self, app: App, say: Callable[[str], None]) -> None:
        self._app = app
        self._say = say
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wichtel-demo", daemon=True)
        self._admin = Principal(name="admin", team="default", role=Role.ADMIN)

    @staticmethod
    def check(settings: Settings) -> None:
        """Refuse, before anything is made, what could not become a demo.

        Raises:
            InvalidInput: the service would not work, or the data of the demo are not there.
        """
        if missing := [role for role in ROLES if role not in settings.roles]:
            raise InvalidInput(f"the demo works, for which the service lacks the roles {', '.join(missing)}.", where="--roles")
        if not (settings.home / MARK).exists():
            data_folder()

    @staticmethod
    def claim(home: Path, *, fresh: bool) -> None:
        """Mark a home as a demo's.

        Args:
            home: Of the service.
            fresh: Whether nobody used the service before.

        Raises:
            InvalidInput: it is somebody's who has other things in it.
        """
        mark = home / MARK
        if not fresh and not mark.exists():
            raise InvalidInput("there is something else in it.", where=str(home), hint="Give the demo a --home of its own.")
        mark.touch(mode=0o600)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            self._fill()
        except Exception as error:  # noqa: BLE001 the service goes on whatever happens here
            if self._stopping.is_set():
                return
            _log.debug("the demo ends", exc_info=True)
            self._say(f"The demo goes no further: {error}")

    def _fill(self) -> None:
        began = time.monotonic()
        self._people()
        self._dataset()
        self._shares()
        people = {a.name: Principal.of(a) for a in self._app.principals.list(self._admin)}
        made: dict[str, tuple[str, ...]] = {}
        for wanted in asked.REGISTRATIONS:
            # A model is there when the first who want something of it come, so that the first verdicts do not wait for the last model.
            self._models(wanted.models, people)
            made[wanted.key] = self._register(wanted, people)
        self._canceled(people)
        self._studies(people)
        experiments = {e.id: e for ids in made.values() for e in map(self._app.experiments.get, ids)}
        waiting = {e.id for e in experiments.values() if e.quota_group == asked.PAUSED[0]}
        self._say(f"Demo: {len(experiments)} experiments, {len(waiting)} of a paused group; {len(asked.STUDIES)} studies.")
        self._follow({*experiments} - waiting, made[asked.LAUNCHED][0], people["ana"])
        if not self._stopping.is_set():
            self._say(f"Demo: all is done, {time.monotonic() - began:.0f} s after the start.")

    def _people(self) -> None:
        app = self._app
        known = {team.name for team in app.teams.list()}
        for team, description in asked.TEAMS.items():
            if team not in known:
                app.teams.put(team, description, self._admin)
        there = {account.name for account in app.principals.list(self._admin)}
        for new in asked.PEOPLE:
            if new.name not in there:
                app.principals.add(new, self._admin)
                token = app.access.create_token(self._admin, new.name, scopes=asked.SCOPES.get(new.name, ()), label="demo")
                self._keep(new.name, token)
        for team, name, role in asked.MEMBERS:
            if name not in {member.principal for member in app.teams.members(team)}:
                app.teams.put_member(team, name, role, self._admin)
        intents = {(intent.name, intent.models) for intent in app.intents.list()}
        for owner, intent in asked.INTENTS.items():
            if (intent.name, intent.models) not in intents:
                app.intents.put(intent, Principal.of(app.principals.get(owner, self._admin)))

    def _keep(self, name: str, token: str) -> None:
        file = os.open(self._app.settings.home / TOKENS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(f"{name} {token}\n")

    def _dataset(self) -> None:
        begin = time.monotonic()
        if any(dataset.name == asked.DATASET for dataset in self._app.datasets.list().items):
            return
        with tempfile.TemporaryDirectory(prefix="wichtel-demo-", dir=self._app.settings.home) as folder:
            file = Path(folder) / "flights.parquet"
            flights(asked.EVERY).write_parquet(file)
            dataset = self._app.datasets.add(asked.DATASET, [str(file)], "time_hour", self._admin)
        self._say(f"Demo: dataset {asked.DATASET}, {dataset.rows:,} flights ({time.monotonic() - begin:.1f} s)")

    def _shares(self) -> None:
        quotas = self._app.quotas
        known = {group.name for group in quotas.list()}
        for group in asked.GROUPS:
            if group.name not in known:
                quotas.put(group, self._admin)
        name, reason = asked.PAUSED
        if name not in known:
            quotas.pause(name, reason, self._admin)

    def _models(self, names: Iterable[str], people: dict[str, Principal]) -> None:
        for name in names:
            begin = time.monotonic()
            try:
                self._app.models.get(name)
                continue
            except NotFound:
                folder, owner = asked.MODELS[name]
            found = self._app.models.add(name, SourceTree.from_folder(_MODELS / folder).to_archive(), people[owner]).analysis
            what = f"{len(found.features)} features, {len(found.tunables)} tunables"
            self._say(f"Demo: model {name}, {what} ({time.monotonic() - begin:.1f} s)")

    def _register(self, wanted: asked.Asked, people: dict[str, Principal]) -> tuple[str, ...]:
        request = RegisterModels(models=wanted.models, protocols=wanted.protocols, idempotency_key=f"demo/{wanted.key}")
        return self._app.experiments.register_models(request, people[wanted.by]).experiments

    def _canceled(self, people: dict[str, Principal]) -> None:
        """Somebody thinks better of it."""
        for identity in self._register(asked.CANCELED, people):
            if self._app.experiments.get(identity).state is not ExperimentState.FINISHED:
                self._app.experiments.cancel(identity, people[asked.CANCELED.by])

    def _studies(self, people: dict[str, Principal]) -> None:
        for owner, spec in asked.STUDIES.items():
            with suppress(AlreadyExists):
                self._app.studies.add(spec, people[owner])

    def _follow(self, experiments: set[str], first: str, approver: Principal) -> None:
        """Tell of what finishes, until all has."""
        app = self._app
        experiments, studies = {*experiments}, {spec.id for spec in asked.STUDIES.values()}
        looked = False
        while (experiments or studies) and not self._stopping.wait(LOOK_SECONDS if looked else 0):
            for identity in sorted(experiments):
                e = app.experiments.get(identity)
                if e.state is ExperimentState.FINISHED:
                    experiments.discard(e.id)
                    if looked:
                        self._say(f"Demo: {e.id}  {e.model:21} {e.protocol:19} {e.status}")
                    if e.id == first:
                        experiments |= self._launch(e, approver)
            for identity in sorted(studies):
                study = app.studies.get(identity)
                if study.state.ended:
                    studies.discard(identity)
                    if looked:
                        self._say(f"Demo: study {study.spec.name}, {study.spec.trials} trials: {study.state}")
            looked = True

    def _launch(self, e: Experiment, approver: Principal) -> set[str]:
        """Make a candidate that may be launched what experiments start from, and see with another seed whether it was luck."""
        app = self._app
        if app.models.get(e.model).head != e.target or e.status is not ExperimentStatus.SATISFIED or e.result is None:
            return set()
        app.models.launch(e.model, e.result.candidate, approver)
        return {app.experiments.rerun(e.id, Rerun(seed=Seed.FRESH), approver).id}
