"""What a study found."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wichtel.domain import Config, NotFound, RunState, Study, Trial, UserError

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StudyResult:
    """A study with its trials, in the order of their numbers."""

    study: Study
    trials: list[Trial]

    @property
    def reason(self) -> str:
        """Why it ended, in words."""
        return self.study.reason

    @property
    def best(self) -> Trial:
        """The trial with the best objective: one that ran to its end if there is any, else one that was stopped.

        Raises:
            NotFound: no trial has a result.
        """
        ranked = self._ranked()
        if not ranked:
            raise NotFound("no trial has a result.", where=f"study {self.study.spec.name!r}", hint=self.reason)
        return ranked[0]

    @property
    def best_config(self) -> Config:
        """The configuration of `best`."""
        return self.best.config

    @property
    def best_value(self) -> float:
        """The objective of `best`."""
        return self.best.metrics[self.study.spec.objectives[0].metric]

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each trial: number, state, metrics, ``config.<parameter>``, reason, times.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UserError("a data frame needs pandas.", hint="Install pandas.") from error
        rows: list[dict[str, Any]] = [
            {
                "number": t.number,
                "state": str(t.state),
                **t.metrics,
                **{f"config.{name}": value for name, value in t.config.items()},
                "reason": t.reason,
                "copied_from": t.copied_from,
                "started": t.started,
                "ended": t.ended,
            }
            for t in self.trials
        ]
        return pd.DataFrame(rows).set_index("number") if rows else pd.DataFrame()

    def __repr__(self) -> str:
        spec = self.study.spec
        head = f"<study {spec.name!r}: {self._counts()}; {self.study.reason or self.study.state}"
        ranked = self._ranked()
        if not ranked:
            return head + ">"
        return f"{head}; best {spec.objectives[0].metric} {self.best_value:.6g} with {ranked[0].config} (trial {ranked[0].number})>"

    def _repr_html_(self) -> str:
        spec = self.study.spec
        metric = spec.objectives[0].metric
        names = list(spec.space)
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in ("trial", metric, *names))
        rows = [
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in (str(t.number), f"{t.metrics[metric]:.6g}", *_cells(t, names))) + "</tr>"
            for t in self._ranked()[:_ROWS]
        ]
        title = html.escape(f"Study {spec.name}: {self._counts()}; {self.study.reason}")
        return f"<p>{title}</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"

    def _ranked(self) -> list[Trial]:
        """Best first, finished before stopped, without copies."""
        objective = self.study.spec.objectives[0]
        scored = [t for t in self.trials if t.state in (RunState.SUCCEEDED, RunState.STOPPED) and objective.metric in t.metrics]
        own = [t for t in scored if t.copied_from is None]
        return sorted(own, key=lambda t: (t.state is RunState.STOPPED, objective.loss(t.metrics[objective.metric]), t.number))

    def _counts(self) -> str:
        states: dict[str, int] = {}
        for trial in self.trials:
            word = "copied" if trial.copied_from is not None else trial.state.lower()
            states[word] = states.get(word, 0) + 1
        return f"{len(self.trials)} trials" + (f" ({', '.join(f'{n} {w}' for w, n in states.items())})" if states else "")


def _cells(trial: Trial, names: list[str]) -> list[str]:
    values = [trial.config.get(name, "") for name in names]
    return [f"{v:.6g}" if isinstance(v, float) else str(v) for v in values]
