"""The one composition root: builds everything from settings, and starts the roles of this process.

``api``
    The services below, behind HTTP (`wichtel.server`).
``orchestrator``
    Starts experiments and carries out workflows: the steps of protocols, listeners; and the periodic jobs.
``controller``
    Hands runs to worker processes and runs studies; one leads at a time.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Self

from wichtel.domain import ExperimentResult, ExperimentStatus, InvalidInput, Measurement, Run, RunSpec, SystemFault, did_you_mean
from wichtel.experiments import (
    Access,
    Audit,
    Comparisons,
    Datasets,
    Experiments,
    Exports,
    Forecasts,
    Handover,
    Intents,
    Jobs,
    Listeners,
    Models,
    PeriodicJob,
    Principals,
    Protocols,
    Quotas,
    Runs,
    SavedSearches,
    Sessions,
    Starter,
    Statistics,
    Studies,
    Teams,
    Usage,
    Vocabulary,
    Waits,
)
from wichtel.experiments.ending import end
from wichtel.experiments.health import Health
from wichtel.experiments.ids import new_id
from wichtel.experiments.notifications import Channels, Deliverer, MailServer, NotifierSettings, notifiers
from wichtel.experiments.triage import Triage
from wichtel.experiments.usage import forget_requests
from wichtel.fleet import Controller, FleetSettings, LocalEngine
from wichtel.housekeeping import housekeeping
from wichtel.protocols import Services, protocols
from wichtel.settings import ROLES, Settings, make_home
from wichtel.store import Artifacts, Database, Files
from wichtel.traces import trace
from wichtel.tuning import StudyHost
from wichtel.workflows import Heartbeat, Workflows

_log = logging.getLogger(__name__)


class App:
    """Everything, over one database. Used as a context manager, it stops at the end.

    Args:
        settings: Where things live and how long they may take.
        wait_seconds: How long to wait for a server of databases that is away.

    Raises:
        DatabaseTooNew: a newer Wichtel wrote the database.
        SystemFault: the database cannot be reached, or needs ``wichtel db upgrade``.
    """

    def __init__(self, settings: Settings, *, wait_seconds: float = 0.0) -> None:
        self.settings = settings
        make_home(settings.home)
        embedded = settings.database_url.startswith("sqlite")
        self.db = Database.open_patiently(settings.database_url, wait_seconds, upgrade=embedded)
        self.db.check()
        self.artifacts = Artifacts(settings.artifacts_url)
        # The embedded service comes back as itself, so that a restart takes up its own work at once.
        self.replica = "embedded" if embedded else f"{socket.gethostname()}-{os.getpid()}-{new_id('p')}"
        self._listeners = Listeners(self.db)
        services = Services(db=self.db, artifacts=self.artifacts, finish=self._finish, bootstrap_resamples=settings.bootstrap_resamples)
        graphs = {name: protocol.graph(services) for name, protocol in protocols().items()}
        self.workflows = Workflows(
            self.db,
            executor_id=self.replica,
            graphs=[*graphs.values()],
            handlers=self._listeners.handlers(),
            poll_seconds=max(1.0, settings.poll_seconds),
            beat_seconds=settings.replica_heartbeat_seconds,
            dead_after_seconds=settings.replica_lost_seconds,
            version=version("wichtel"),
            tell=self._tell,
        )
        self._listeners.bind(self.workflows)
        self._starter = Starter(self.db, self.workflows, default_share=settings.default_quota)
        self.controller: Controller | None = None
        self._study_host: StudyHost | None = None
        self._roles: frozenset[str] = frozenset()
        self._heartbeat: Heartbeat | None = None
        self._untrace: Callable[[], None] = lambda: None
        #: Whether this process is about to stop: it answers, but is not to be sent requests.
        self.draining = False
        #: Where the API of this process listens; empty if nowhere.
        self.url = ""
        self.access = Access(self.db)
        self.teams = Teams(self.db)
        self.principals = Principals(self.db)
        self.sessions = Sessions(self.db, idle=timedelta(hours=settings.session_idle_hours), lifetime=timedelta(days=settings.session_days))
        self.audit = Audit(self.db)
        self.experiments = Experiments(
            self.db,
            self.artifacts,
            self.workflows,
            baseline_max_age_days=settings.baseline_max_age_days,
        )
        self.comparisons = Comparisons(self.db)
        self.saved_searches = SavedSearches(self.db)
        self.vocabulary = Vocabulary(self.db)
        self.forecasts = Forecasts(self.db, self.artifacts)
        self.handover = Handover(self.db, self.artifacts)
        self.quotas = Quotas(self.db, default_share=settings.default_quota)
        self.waits = Waits(self.db, default_share=settings.default_quota)
        self.models = Models(self.db, self.artifacts)
        folders = (folder.strip() for folder in (settings.dataset_folders or "").split(","))
        self.datasets = Datasets(self.db, self.artifacts, folders=[*filter(None, folders)])
        self.intents = Intents(self.db)
        self.protocols = Protocols(self.db, graphs)
        self.runs = Runs(self.db, settings.home / "fleet")
        self.studies = Studies(self.db)
        self.health = Health(self.db, silent_after_seconds=settings.replica_lost_seconds)
        self.usage = Usage(self.db)
        mail = None
        if settings.smtp_url is not None:
            mail = MailServer(url=settings.smtp_url.get_secret_value(), sender=settings.smtp_from)
            mail.check()
        kinds = notifiers(NotifierSettings(url=settings.url, mail=mail, private_addresses=settings.notify_private_addresses))
        self.channels = Channels(self.db, kinds)
        self.triage = Triage(self.db)
        deliverer = Deliverer(self.db, kinds, digest_seconds=settings.digest_seconds)
        files = Files(settings.export_url)
        self.exports = Exports(self.db, files)
        self.statistics = Statistics(self.exports, self.usage)
        jobs: list[PeriodicJob] = [forget_requests(self.db), *housekeeping(settings, self.db, self.artifacts, self.workflows, files)]
        notify = PeriodicJob(name="notifications", every_seconds=settings.notify_seconds, run=deliverer.run, cease=deliverer.cease)
        jobs.append(notify)
        self.jobs = Jobs(self.db, jobs, self.replica)

    def start(self, roles: Collection[str] | None = None) -> Self:
        """Start the roles of this process; those of the settings by default.

        Raises:
            InvalidInput: an unknown role.
            SystemFault: what a role needs does not start.
        """
        roles = self.settings.roles if roles is None else roles
        for role in roles:
            if role not in ROLES:
                raise InvalidInput(f"there is no role {role!r}.", hint=did_you_mean(role, ROLES))
        self._roles = frozenset(roles)
        self._untrace = trace()
        if "controller" in roles:
            settings = self.settings
            self.controller = Controller(
                self.db,
                LocalEngine(settings.workers),
                settings.artifacts_url,
                FleetSettings(
                    state_dir=settings.home / "fleet",
                    heartbeat_seconds=settings.heartbeat_seconds,
                    heartbeat_timeout_seconds=settings.worker_lost_seconds,
                    poll_seconds=settings.poll_seconds,
                ),
            )
            self._study_host = StudyHost(self.db, self.controller)
            self.controller.attach("experiment", _Waker(self.workflows))
            self.controller.start()
            self._study_host.start()
        if "orchestrator" in roles:
            self.workflows.start(self._ordered_roles())
            self._starter.start()
        self.jobs.start(roles)
        if "orchestrator" not in roles and not self.db.is_sqlite:
            # Whoever carries out workflows says so by itself; the embedded service is one process, of which nobody else need know.
            self._heartbeat = Heartbeat(
                self.db,
                self.replica,
                self._ordered_roles(),
                beat_seconds=self.settings.replica_heartbeat_seconds,
                version=version("wichtel"),
                tell=self._tell,
            )
            self._heartbeat.beat()
            self._heartbeat.start()
        return self

    def stop(self) -> None:
        """Stop what was started; what is under way goes on when a process starts again, or in another one at once."""
        # At once, so that a step that takes its time does not keep the lease from a standby, nor a worker the workflows.
        with ThreadPoolExecutor(2, thread_name_prefix="wichtel-stop") as stopping:
            stopped = [stopping.submit(self._stop_orchestrator), stopping.submit(self._stop_controller)]
        self._roles = frozenset()
        self._untrace()
        self.access.close()
        self.sessions.close()
        self.db.close()
        for part in stopped:
            part.result()

    def _stop_orchestrator(self) -> None:
        self.jobs.stop()
        self._starter.stop()
        # Also of one that only enqueues: it has connections.
        self.workflows.stop()
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat.forget()
            self._heartbeat = None

    def _stop_controller(self) -> None:
        if self._study_host is not None:
            self._study_host.stop()
        if self.controller is not None:
            self.controller.stop()

    def _ordered_roles(self) -> tuple[str, ...]:
        return tuple(role for role in ROLES if role in self._roles)

    def _tell(self) -> dict[str, Any]:
        """What the row of this replica says."""
        told: dict[str, Any] = {"draining": self.draining, "url": self.url}
        if self.controller is not None:
            try:
                status = self.controller.status(1.0)
            except TimeoutError:
                return told
            states = Counter(worker.state for worker in status.workers)
            told["fleet"] = {
                "leading": status.leading,
                "waiting": status.waiting,
                "busy": states["busy"],
                "idle": states["idle"],
                "changing": states["starting"] + states["ending"],
                "quarantined": states["quarantined"],
            }
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self) -> dict[str, bool]:
        """Part → whether it can do its work."""
        try:
            self.db.check()
            parts = {"database": True}
        except SystemFault as fault:
            # Not told to whoever asks, who need not show a token.
            _log.warning("not ready: %s", fault)
            parts = {"database": False}
        if "orchestrator" in self._roles:
            parts["orchestrator"] = True
        if self.controller is not None:
            # A standby is ready: ready to lead.
            parts["controller"] = self.controller.alive
        return parts

    def _finish(self, experiment: str, status: ExperimentStatus, cause: str, result: ExperimentResult | None = None) -> bool:
        with self.db.transaction() as tx:
            return end(self.workflows, tx, experiment, status, cause, result)


class _Waker:
    """Owner of the runs of experiments: has the waiting step look at once."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows

    def on_measurement(self, measurement: Measurement) -> None:
        """Nothing: a training goes on to its end."""

    def on_end(self, run: Run) -> list[RunSpec]:
        """Wake the workflow of the experiment."""
        self._workflows.wake(run.spec.owner.removeprefix("experiment/"))
        return []
