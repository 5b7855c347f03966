"""What an experiment failed of: the first rule that knows it says whose doing it was, and what to do.

A protocol's own rules are asked first, then those of plug-ins (entry-point group ``wichtel.failure_rules``), then those of
`failure_rules.BUILT_IN`. What none knows is ``unknown``: the user's doing if the error says so, the system's if not. All that is unknown or
the system's is collected for triage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from wichtel.domain import ExperimentStatus, Failure, Rule, Symptom
from wichtel.domain.failure import UNKNOWN
from wichtel.experiments.failure_rules import BUILT_IN
from wichtel.protocols import protocols
from wichtel.store import Transaction

GROUP = "wichtel.failure_rules"

_ASK = "Nobody has seen this before; an admin finds it under `wichtel triage list`."


@cache
def broken() -> dict[str, str]:
    """Plug-ins that could not be loaded, and why. Reported, never fatal."""
    return {}


@cache
def plugged_in() -> tuple[Rule, ...]:
    """The rules of plug-ins, in the order of the plug-ins' names. An entry point names one rule, or several."""
    found: list[Rule] = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            loaded = point.load()
            rules = [loaded] if isinstance(loaded, Rule) else list(loaded)
            if not all(isinstance(rule, Rule) for rule in rules):
                broken()[point.name] = f"{point.value} is not a Rule, nor several"
                continue
        except Exception as error:  # noqa: BLE001 - somebody else's code, at somebody else's import
            broken()[point.name] = f"{type(error).__name__}: {error}"
            continue
        found += rules
    return tuple(found)


def rules_of(protocol: str) -> Iterator[Rule]:
    """The rules for failures of `protocol`, in the order in which they are asked."""
    if protocol in protocols():
        yield from protocols()[protocol].failure_rules
    yield from plugged_in()
    yield from BUILT_IN


def classify(error: Mapping[str, Any], *, protocol: str = "") -> Failure:
    """What `error` is.

    Args:
        error: A `WichtelError` as JSON, with the step's name under ``step``; see `wichtel.workflows.WorkflowStatus.error`.
        protocol: Of the experiment.
    """
    symptom = Symptom.of(error)
    rule = next((r for r in rules_of(protocol) if r.matches(symptom)), None)
    if rule is not None:
        status = rule.status
    else:
        ours = symptom.culprit == "wichtel" or not symptom.user
        status = ExperimentStatus.SYSTEM_ERROR if ours else ExperimentStatus.USER_ERROR
    return Failure(
        category=rule.category if rule is not None else UNKNOWN,
        rule=rule.name if rule is not None else "",
        status=status,
        message=f"{symptom.where}: {symptom.message}" if symptom.where else symptom.message,
        # The error's own advice knows the case.
        hint=symptom.hint or (rule.hint if rule is not None else _ASK),
        step=symptom.step,
        run=symptom.run,
        log_tail=symptom.log,
    )


def cause_of(failure: Failure) -> str:
    """All of it in a line, for lists."""
    return f"{failure.message} (step {failure.step})" if failure.step else failure.message


def expired(tx: Transaction, identity: str) -> tuple[Failure, str]:
    """Why an experiment was not done in time; and that in words."""
    experiment = tx.experiments.get(identity)
    runs = tx.runs.list(prefix=f"{identity}/", limit=1000)
    waiting = [run for run in runs if not run.state.ended and not run.attempt]
    if experiment.started is None:
        category, message = "experiment.never_started", "It did not finish in time: it was never started."
        hint = f"The share of {experiment.quota_group!r} was spent on others all the time; ask an admin for a larger one."
    elif waiting and len(waiting) == sum(not run.state.ended for run in runs):
        category, message = "resources.never_allocated", "It did not finish in time: its runs were never given the resources they need."
        hint = "Ask for less in section [resources] of job.toml, or for more workers."
    else:
        category, message = "experiment.too_slow", "It did not finish in time."
        hint = "Train on less, or search with fewer trials."
    failure = Failure(
        category=category,
        status=ExperimentStatus.DEADLINE_EXCEEDED,
        message=message,
        hint=hint,
        run=waiting[0].spec.id if waiting else "",
    )
    return failure, f"{message} {hint}"


def note(tx: Transaction, failure: Failure, identity: str) -> None:
    """Collect `failure` of an experiment for triage, if somebody has to look into it."""
    if failure.status is ExperimentStatus.SYSTEM_ERROR or failure.category == UNKNOWN:
        tx.triage.note(failure, tx.experiments.get(identity).protocol, identity)
