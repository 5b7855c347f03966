"""What is in a database, as the result of a study."""

from __future__ import annotations

from wichtel.domain import NotFound, StudySpec, Trial, UserError, did_you_mean
from wichtel.store import Database
from wichtel.store.transaction import Transaction
from wichtel.tuning.guards.retraining import confirmation_of, confirmation_owner
from wichtel.tuning.guards.selection import Confirmation, selection_warnings
from wichtel.tuning.ports import Problem
from wichtel.tuning.registry import make_searcher, searcher_names
from wichtel.tuning.results.home import Home
from wichtel.tuning.results.ranking import ranked
from wichtel.tuning.results.result import StudyResult

_MOST = 1_000_000


def read_result(db: Database, name: str, home: Home, explanation: str = "") -> StudyResult:
    """The study of that name, as far as it has come.

    Args:
        explanation: What its searcher says of itself, if it is at hand; else one is made and asked.

    Raises:
        NotFound: there is none.
    """
    with db.read() as tx:
        study = tx.studies.by_name(name)
        if study is None:
            names = [s.spec.name for s in tx.studies.list()]
            raise NotFound(f"there is no study {name!r}.", where=db.url, hint=did_you_mean(name, names))
        trials = tx.trials.of_study(study.spec.id)
        best = best_of(study.spec, trials)
        confirmation = None if best is None else confirmation_in(tx, study.spec, best)
    return StudyResult(
        study=study,
        trials=trials,
        home=home,
        explanation=explanation or explain(study.spec),
        confirmation=confirmation,
        warnings=selection_warnings(study.spec, trials, best, confirmation),
    )


def best_of(spec: StudySpec, trials: list[Trial]) -> Trial | None:
    """The winner, if there is one: a study of several objectives has none."""
    order = ranked(spec, trials) if len(spec.objectives) == 1 else []
    return order[0] if order else None


def explain(spec: StudySpec) -> str:
    """What the searcher of a study says of itself, and where the study's first configurations come from."""
    try:
        known = spec.searcher.name in searcher_names()
        words = str(getattr(make_searcher(spec.searcher, Problem.of(spec)), "explanation", "")) if known else ""
    except UserError:
        # Its plug-in is not installed here.
        words = ""
    return "; ".join(part for part in (words, transferred(spec)) if part)


def transferred(spec: StudySpec) -> str:
    """Where a study's first configurations come from, in words; empty if they are all its own."""
    origins = [origin for origin in spec.origins if origin]
    if not origins:
        return ""
    shown = ", ".join(origins[:3]) + (", …" if len(origins) > 3 else "")
    return f"it begins with {len(origins)} configuration{'s' if len(origins) > 1 else ''} of earlier studies ({shown})"


def confirmation_in(tx: Transaction, spec: StudySpec, best: Trial) -> Confirmation | None:
    """What fresh evaluations of the winner say, if there were any."""
    runs = tx.runs.list(owner=confirmation_owner(spec), limit=_MOST)
    # An earlier winner may have been confirmed before the study was given more trials.
    ours = [run for run in runs if run.state.ended and run.spec.payload.get("trial") == best.number]
    return confirmation_of(spec, best, ours) if ours else None
