"""The periodic jobs of the service, made from settings."""

from __future__ import annotations

import socket

from wichtel.experiments import Cleaner, Deadlines, Exporter, FileSweeper, Garbage, PeriodicJob, Retention
from wichtel.settings import Settings
from wichtel.store import Artifacts, Database, Files
from wichtel.workflows import WorkflowPort

_DAY = 86_400.0
_LOOK_SECONDS = 10.0


def housekeeping(settings: Settings, db: Database, artifacts: Artifacts, workflows: WorkflowPort, exports: Files) -> list[PeriodicJob]:
    """Deadlines, cleaning, exports and garbage collection."""
    deadlines = Deadlines(db, workflows, lease_seconds=settings.lease_seconds, expire_days=settings.expire_days)
    cleaner = Cleaner(db, workflows, grace_seconds=settings.clean_grace_seconds, keep_days=settings.keep_workflows_days)
    exporter = Exporter(db, exports)
    garbage = Garbage(
        db,
        artifacts,
        workflows,
        Retention(
            trial_models=settings.keep_trial_models_days,
            candidates=settings.keep_candidates_days,
            baselines=settings.keep_baselines_days,
            events=settings.keep_events_days,
            measurements=settings.keep_measurements_days,
            audit=settings.keep_audit_days,
            grace=settings.artifact_grace_days,
        ),
    )
    sweeper = FileSweeper(
        db,
        settings.home / "fleet",
        keep_logs_days=settings.keep_logs_days,
        keep_checkpoints_days=settings.keep_checkpoints_days,
    )
    return [
        PeriodicJob(name="deadlines", every_seconds=min(_LOOK_SECONDS, settings.lease_seconds), run=deadlines.run),
        PeriodicJob(name="clean-workflows", every_seconds=settings.clean_seconds, run=cleaner.run, preview=cleaner.preview),
        PeriodicJob(name="export", every_seconds=_DAY, at_seconds=_seconds(settings.export_at), run=exporter.run, preview=exporter.preview),
        PeriodicJob(
            name="collect-garbage", every_seconds=_DAY, at_seconds=_seconds(settings.garbage_at), run=garbage.run, preview=garbage.preview
        ),
        # Files are each machine's own.
        PeriodicJob(
            name=f"sweep-files@{socket.gethostname()}",
            every_seconds=_DAY,
            at_seconds=_seconds(settings.garbage_at),
            run=sweeper.run,
            preview=sweeper.preview,
            role="controller",
        ),
    ]


def _seconds(time_of_day: str) -> float:
    hours, minutes = time_of_day.split(":")
    return 3600.0 * int(hours) + 60.0 * int(minutes)
