"""What a study found."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wichtel.domain import Config, InvalidInput, Measurement, NotFound, Study, StudySpec, Trial, UserError, did_you_mean
from wichtel.tuning.guards.selection import Confirmation
from wichtel.tuning.results.ranking import Front, losses_of, ranked, violation_of

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from wichtel.tuning.guards.retraining import Retrained, StepChoice
    from wichtel.tuning.plots import Plots
    from wichtel.tuning.results.home import Home

_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StudyResult:
    """A study with its trials, in the order of their numbers."""

    study: Study
    trials: list[Trial]
    #: Where it lives; None if only this is left of it.
    home: Home | None = field(default=None, compare=False)
    #: What the searcher did and why, in words.
    explanation: str = ""
    #: The winner evaluated anew, if `tune` was told to.
    confirmation: Confirmation | None = None
    #: What to mind before the best trial is believed, in words.
    warnings: list[str] = field(default_factory=list)

    @property
    def spec(self) -> StudySpec:
        """What was searched for, and how."""
        return self.study.spec

    @property
    def reason(self) -> str:
        """Why it ended, in words."""
        return self.study.reason

    @property
    def best(self) -> Trial:
        """The best trial.

        Feasible ones come first, then those with the largest budget, then those that ran to their end before those that were stopped; among
        these the objective decides.

        Raises:
            InvalidInput: there are several objectives.
            NotFound: no trial has a result.
        """
        if len(self.spec.objectives) > 1:
            raise InvalidInput(
                "with several objectives no one trial is best.", where=f"study {self.spec.name!r}", hint="See front, or plot.pareto()."
            )
        order = ranked(self.spec, self.trials)
        if not order:
            raise NotFound("no trial has a result.", where=f"study {self.spec.name!r}", hint=self.reason or None)
        return order[0]

    @property
    def best_config(self) -> Config:
        """The configuration of `best`."""
        return self.best.config

    @property
    def best_value(self) -> float:
        """The objective of `best`."""
        return self.best.metrics[self.spec.objectives[0].metric]

    @property
    def front(self) -> list[Trial]:
        """The Pareto front: feasible trials than which no other is better in one objective and nowhere worse.

        Of those with the largest budget, and if any ran to its end, of those that did. The best in the first objective comes first; of
        trials with equal values, the first. With one objective, the best trial.
        """
        front = Front(self.spec)
        for trial in self.trials:
            front.add(trial)
        return front.trials if front.feasible else []

    def hypervolume(self, reference: Sequence[float] | None = None) -> float:
        """How much of the space of objectives `front` dominates, up to `reference`. Larger is better.

        Args:
            reference: A value for each objective, in their order and as they are measured; by default the worst of each among the feasible
                trials, so that only volumes with the same reference compare.

        Raises:
            InvalidInput: it has another length, or is not finite.
            NotFound: no trial is feasible.
        """
        import numpy as np

        from wichtel.tuning.pareto import hypervolume

        objectives = self.spec.objectives
        scored = [losses_of(self.spec, t) for t in self.trials if not violation_of(self.spec, t)]
        known = [losses for losses in scored if losses]
        if not known:
            raise NotFound("no trial is feasible.", where=f"study {self.spec.name!r}")
        if reference is not None and len(reference) != len(objectives):
            raise InvalidInput(f"it has {len(reference)} values for {len(objectives)} objectives.", where="reference")
        corner = (
            np.array(known).max(axis=0) if reference is None else [o.loss(value) for o, value in zip(objectives, reference, strict=True)]
        )
        return hypervolume(np.array([losses_of(self.spec, t) for t in self.front]), corner)

    @property
    def measurements(self) -> dict[int, list[Measurement]]:
        """Trial's number → what it reported, in the order of evaluations, then of steps. Read from where the study lives.

        Raises:
            NotFound: the study is no longer kept.
        """
        return self._home().measurements(self.spec.id)

    def curves(self, trial: int | Trial) -> list[Measurement]:
        """What one trial reported; with several evaluations, of all of them: `Measurement.run` tells which.

        Raises:
            NotFound: there is no such trial, or the study is no longer kept.
        """
        return self.measurements.get(self.trial(trial).number, [])

    def best_step(self, trial: int | Trial | None = None) -> StepChoice:
        """The step at which a trial, by default the best, did best: with several evaluations, by the mean of their curves.

        Raises:
            InvalidInput: there are several objectives.
            NotFound: no step was reported by all evaluations, or the study is no longer kept.
        """
        from wichtel.tuning.guards.retraining import best_step

        return best_step(self.spec, self.curves(self.best if trial is None else trial))

    def retrain(self, trial: int | Trial | None = None, *, budget: float | None = None, engine: str = "local") -> Retrained:
        """Train a trial's configuration, by default the best's, once more, outside any fold: on all data, if the function sees to that.

        Args:
            trial: Which.
            budget: How far, for a function that asks for ``budget``: by default what the trial was given, else `best_step` plus one, if
                the trial was evaluated on folds.
            engine: As in `tune`.

        Raises:
            NotFound: there is no such trial, or the study is no longer kept.
            UserError: the training failed.
        """
        from wichtel.tuning.tuner import retrain

        chosen = self.best if trial is None else self.trial(trial)
        if budget is None and chosen.budget is None and self.spec.folds > 1:
            budget = self.best_step(chosen).step + 1
        return retrain(self, chosen, budget, engine)

    def trial(self, number: int | Trial) -> Trial:
        """The trial of that number.

        Raises:
            NotFound: there is none.
        """
        wanted = number.number if isinstance(number, Trial) else number
        found = next((t for t in self.trials if t.number == wanted), None)
        if found is None:
            raise NotFound(f"there is no trial {wanted}.", where=f"study {self.spec.name!r}", hint=f"There are {len(self.trials)}.")
        return found

    def artifact(self, name: str, trial: int | Trial | None = None) -> Path:
        """A file that a trial returned, of the best by default.

        Returns:
            Where it lies: beside the study, so that one without a name loses it with this result.

        Raises:
            NotFound: the trial returned no such file, or the study is no longer kept.
        """
        chosen = self.best if trial is None else self.trial(trial)
        if name not in chosen.artifacts:
            where = f"study {self.spec.name!r}, trial {chosen.number}"
            raise NotFound(f"it returned no file {name!r}.", where=where, hint=did_you_mean(name, chosen.artifacts))
        home = self._home()
        # By its digest: two trials may have returned the same, and none ever changes.
        digest = chosen.artifacts[name]
        path = home.folder / "files" / digest[:16] / quote(name, safe=" .,()[]")
        if not path.exists():
            home.artifacts.fetch(digest, path)
        return path

    @property
    def plot(self) -> Plots:
        """Pictures of the study: ``study.plot.history()`` and others."""
        from wichtel.tuning.plots import Plots

        return Plots(self)

    def report(self, path: str | Path) -> Path:
        """Write all of it as one HTML file that needs no network.

        Raises:
            UserError: Plotly is not installed.
        """
        from wichtel.tuning.results.report import write_report

        return write_report(self, Path(path))

    def to_optuna(self, storage: str | optuna.storages.BaseStorage | None = None, name: str | None = None) -> optuna.Study:
        """This study as one of Optuna's, with all trials; see `wichtel.tuning.results.exchange.to_optuna`."""
        from wichtel.tuning.results.exchange import to_optuna

        return to_optuna(self, storage, name)

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each trial: number, state, metrics, ``config.<parameter>``, budget, parent, origin, reason, times.

        With several evaluations, ``<metric>[i]`` is what evaluation `i` gave.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UserError("a data frame needs pandas.", hint="Install pandas.") from error
        rows = self.rows()
        return pd.DataFrame(rows).set_index("number") if rows else pd.DataFrame()

    def rows(self) -> list[dict[str, Any]]:
        """What `to_dataframe` shows, as plain rows."""
        return [
            {
                "number": t.number,
                "state": str(t.state),
                **t.metrics,
                **{f"{metric}[{i}]": value for metric, values in t.samples.items() for i, value in enumerate(values)},
                **{f"config.{name}": value for name, value in t.config.items()},
                "budget": t.budget,
                "parent": t.parent,
                "origin": t.origin,
                "reason": t.reason,
                "copied_from": t.copied_from,
                "started": t.started,
                "ended": t.ended,
            }
            for t in self.trials
        ]

    def counts(self) -> dict[str, int]:
        """Trials by state in lower case; those that were answered from an earlier one are ``"copied"``."""
        states: dict[str, int] = {}
        for trial in self.trials:
            word = "copied" if trial.copied_from is not None else trial.state.lower()
            states[word] = states.get(word, 0) + 1
        return states

    def leaders(self, most: int = _ROWS) -> list[Trial]:
        """The best trials, for tables: the front if there are several objectives, then the others by the first."""
        order = ranked(self.spec, self.trials)
        if len(self.spec.objectives) > 1:
            front = {t.number for t in self.front}
            order.sort(key=lambda t: t.number not in front)
        return order[:most]

    def __repr__(self) -> str:
        head = f"<study {self.spec.name!r}: {self._counts()}; {self.study.reason or self.study.state}"
        if len(self.spec.objectives) > 1:
            return f"{head}; front of {len(self.front)}>"
        order = ranked(self.spec, self.trials)
        if not order:
            return head + ">"
        return f"{head}; best {self.spec.objectives[0].metric} {self.best_value:.6g} with {order[0].config} (trial {order[0].number})>"

    def _repr_html_(self) -> str:
        metrics = [o.metric for o in self.spec.objectives]
        names = list(self.spec.space)
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in ("trial", *metrics, *names))
        cells = [(str(t.number), *(_cell(t.metrics[m]) for m in metrics), *_cells(t, names)) for t in self.leaders()]
        rows = ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells]
        title = html.escape(f"Study {self.spec.name}: {self._counts()}; {self.study.reason or self.study.state}")
        if self.confirmation is not None:
            title += f"<br>{html.escape(str(self.confirmation))}"
        notes = "".join(f"<p>⚠ {html.escape(warning)}</p>" for warning in self.warnings)
        return f"<p>{title}</p>{notes}<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

    def _counts(self) -> str:
        states = self.counts()
        return f"{len(self.trials)} trials" + (f" ({', '.join(f'{n} {w}' for w, n in states.items())})" if states else "")

    def _home(self) -> Home:
        if self.home is None:
            raise NotFound("it is not kept anywhere.", where=f"study {self.spec.name!r}", hint="Give a study a name to keep it.")
        return self.home


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cells(trial: Trial, names: list[str]) -> list[str]:
    return [_cell(trial.config[name]) if name in trial.config else "" for name in names]
