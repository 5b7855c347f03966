"""Runs and studies."""

from __future__ import annotations

import builtins
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import Measurement, Run, RunState, Study, StudySpec, StudyState, Trial
from wichtel.experiments import TrialColumns, TrialCurve
from wichtel.store import codec


class Runs:
    """Pieces of work that workers carry out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, identity: str) -> Run:
        """One run, with its result or its error.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Run, f"/v1/runs/{quote(identity)}")

    def list(self, *, owner: str | None = None, state: RunState | None = None, limit: int | None = 100) -> builtins.list[Run]:
        """Runs of an owner, or in a state; at most `limit`, None for all."""
        return self._connection.pages(Run, "/v1/runs", limit, owner=owner, state=state)

    def cancel(self, identity: str) -> Run:
        """End it now.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has ended.
        """
        return codec.read(self._connection.call("POST", f"/v1/runs/{quote(identity)}:cancel").content, Run)

    def measurements(self, identity: str) -> builtins.list[Measurement]:
        """What it reported, by step."""
        return self._connection.pages(Measurement, "/v1/measurements", None, run=identity)

    def log(self, identity: str) -> str:
        """What it printed."""
        return self._connection.call("GET", "/v1/logs", query={"run": identity}).text


class Studies:
    """Searches, by id or name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, spec: StudySpec) -> Study:
        """Submit a study; the service's workers must be able to import its entry.

        Raises:
            AlreadyExists: a study of that name is there.
            InvalidInput: a searcher or pruner that does not exist or does not fit.
        """
        return codec.read(self._connection.call("POST", "/v1/studies", body=spec).content, Study)

    def get(self, identity: str) -> Study:
        """One study.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Study, f"/v1/studies/{quote(identity)}")

    def list(self, *, state: StudyState | None = None, name: str | None = None, limit: int | None = None) -> builtins.list[Study]:
        """Studies, the newest first: in a state, or with `name` in theirs; at most `limit`."""
        return self._connection.pages(Study, "/v1/studies", limit, state=state, name=name)

    def trials(self, identity: str) -> builtins.list[Trial]:
        """Its trials, by number."""
        return self._connection.pages(Trial, "/v1/trials", None, study=identity)

    def columns(self, identity: str, *, most: int = 2000, workers: bool = False) -> TrialColumns:
        """Its trials by columns, for pictures: the best, all that once were or are on the front, and of the others evenly chosen ones.

        Args:
            identity: Name or id.
            most: Trials.
            workers: Whether to say who carried each out.
        """
        return self._connection.get(TrialColumns, "/v1/trials:columns", study=identity, most=most, workers=workers)

    def curves(self, identity: str, metric: str, *, most: int = 60) -> builtins.list[TrialCurve]:
        """Learning curves, thinned: of its best trials, its newest, and some that were stopped."""
        return self._connection.all(TrialCurve, "/v1/trials:curves", study=identity, metric=metric, most=most)

    def warnings(self, identity: str) -> builtins.list[str]:
        """What to know before the best is believed: how much of it may be luck, or what fresh evaluations of it say."""
        return self._connection.all(str, "/v1/trials:warnings", study=identity)

    def importance(self, identity: str) -> dict[str, float]:
        """How much each parameter decides whether a trial is among the best; empty if too few have ended."""
        return self._connection.get(dict[str, float], "/v1/trials:importance", study=identity)

    def cancel(self, identity: str) -> Study:
        """End it now, with its runs.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has ended.
        """
        return codec.read(self._connection.call("POST", f"/v1/studies/{quote(identity)}:cancel").content, Study)
