"""Mirrors a study to MLflow: a run for the study, and below it one for each trial."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import Any

from wichtel.domain import Config, RunState, StudySpec, StudyState, Trial, UserError
from wichtel.tuning.results.ranking import Front

_STUDY = "wichtel.study"
_TRIAL = "wichtel.trial"
_STATE = "wichtel.state"

#: Longest text of a parameter or a tag that every store of MLflow takes.
_LONGEST = 5000
#: Of one request.
_MOST_PARAMETERS = 100

_STATES = {
    RunState.SUCCEEDED: "FINISHED",
    RunState.STOPPED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.CANCELED: "KILLED",
}
_ENDS = {StudyState.FINISHED: "FINISHED", StudyState.FAILED: "FAILED", StudyState.CANCELED: "KILLED"}


class MLflow:
    """Metrics by step, configurations as parameters; how a trial ended and why as tags ``wichtel.state`` and ``wichtel.reason``.

    After a crash, runs are found by their tags ``wichtel.study`` and ``wichtel.trial`` and gone on with.

    Args:
        uri: Where MLflow keeps it, such as ``"sqlite:///mlflow.db"`` or a server's address; None for what MLflow is set to.
        experiment: The name of MLflow's experiment; it is made if there is none.

    Raises:
        UserError: MLflow is not installed.
    """

    def __init__(self, uri: str | None = None, experiment: str = "wichtel") -> None:
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise UserError("MLflow is not installed.", where="tracker 'mlflow'", hint="pip install 'wichtel[mlflow]'") from error
        self._client = MlflowClient(tracking_uri=uri)
        self._name = experiment
        self._experiment = ""
        self._parent = ""
        self._spec: StudySpec | None = None
        self._front: Front | None = None
        #: Trial → its run, and those that have ended.
        self._runs: dict[int, str] = {}
        self._ended: set[int] = set()

    def start(self, spec: StudySpec, resumed: bool) -> None:
        """See `Tracker`."""
        self._spec, self._front = spec, Front(spec)
        known = self._client.get_experiment_by_name(self._name)
        self._experiment = self._client.create_experiment(self._name) if known is None else known.experiment_id
        before = self._find(f"tags.`{_STUDY}` = '{_safe(spec.id)}' and tags.`{_TRIAL}` = 'none'") if resumed else []
        if before:
            self._parent = before[0].info.run_id
            self._client.update_run(self._parent, status="RUNNING")
            for run in self._find(f"tags.`mlflow.parentRunId` = '{self._parent}'"):
                number = int(run.data.tags[_TRIAL])
                self._runs[number] = run.info.run_id
                if run.data.tags.get(_STATE):
                    self._ended.add(number)
            return
        tags = {
            _STUDY: _safe(spec.id),
            _TRIAL: "none",
            "wichtel.objectives": ", ".join(f"{o.metric} ({o.better})" for o in spec.objectives),
        }
        self._parent = self._client.create_run(self._experiment, run_name=spec.name, tags=tags).info.run_id
        about = {"searcher": spec.searcher.name, "pruner": spec.pruner and spec.pruner.name, "trials": spec.trials, "seed": spec.seed}
        self._log_parameters(self._parent, about)

    def begin_trial(self, trial: int, config: Config) -> None:
        """See `Tracker`."""
        if trial in self._runs:
            return
        assert self._spec is not None
        tags = {_STUDY: _safe(self._spec.id), _TRIAL: str(trial), "mlflow.parentRunId": self._parent}
        run = self._client.create_run(self._experiment, run_name=f"{self._spec.name} {trial}", tags=tags)
        self._runs[trial] = run.info.run_id
        self._log_parameters(run.info.run_id, config)

    def measure(self, trial: int, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._log_metrics(self._runs[trial], step, metrics)

    def end_trial(self, trial: Trial) -> None:
        """See `Tracker`."""
        assert self._front is not None
        self._front.add(trial)
        if trial.number in self._ended:
            return
        # A copy, or one that ended unseen before a crash.
        self.begin_trial(trial.number, trial.config)
        run = self._runs[trial.number]
        self._ended.add(trial.number)
        step = trial.searcher_state.get("step")
        self._log_metrics(run, 0 if step is None else step, trial.metrics)
        for name, digest in trial.artifacts.items():
            self._tag(run, f"wichtel.artifact.{name}", digest)
        if trial.reason:
            self._tag(run, "wichtel.reason", trial.reason)
        self._client.set_terminated(run, _STATES[trial.state], None if trial.ended is None else int(trial.ended.timestamp() * 1000))
        # Last: whoever finds it knows that nothing is missing.
        self._tag(run, _STATE, str(trial.state))

    def finish(self, state: StudyState, reason: str) -> None:
        """See `Tracker`."""
        assert self._front is not None
        best = self._front.trials
        if len(best) == 1:
            self._tag(self._parent, "wichtel.best_trial", str(best[0].number))
            self._log_metrics(self._parent, 0, {f"best {name}": value for name, value in best[0].metrics.items()})
        self._tag(self._parent, "wichtel.reason", reason)
        if state in _ENDS:
            self._client.set_terminated(self._parent, _ENDS[state])

    # Inside

    def _find(self, condition: str) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], condition, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _log_parameters(self, run: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        parameters = [Param(_key(name), str(value)[:_LONGEST]) for name, value in values.items()]
        for i in range(0, len(parameters), _MOST_PARAMETERS):
            self._client.log_batch(run, params=parameters[i : i + _MOST_PARAMETERS])

    def _log_metrics(self, run: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_key(name), value, now, step) for name, value in values.items() if math.isfinite(value)]
        if metrics:
            self._client.log_batch(run, metrics=metrics)

    def _tag(self, run: str, name: str, value: str) -> None:
        self._client.set_tag(run, _key(name), value[:_LONGEST])


def _key(name: str) -> str:
    """`name` with what MLflow takes in names only."""
    return re.sub(r"[^\w\-. /:]", "_", name)[:250]


def _safe(text: str) -> str:
    # MLflow's filters know no escape.
    return re.sub(r"['\"`\\]", "_", text)
