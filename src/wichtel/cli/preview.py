"""What would be made, before anything is registered: experiments, pairs that do not fit, and what it would take and need."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from wichtel.cli.command import Here
from wichtel.cli.output import length

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wichtel.domain import Experiment
    from wichtel.experiments.forecasts import Cost, Need, Outlook
    from wichtel.experiments.preview import RegistrationPreview

#: So many are shown with every setting; of more, a line each.
_IN_FULL = 3
_SETTINGS = ("baseline_max_age_days", "replicates", "seed", "priority")


def show(here: Here, found: RegistrationPreview) -> None:
    """All that is known of it."""
    if here.json:
        here.out.data(found)
        return
    if len(found.items) <= _IN_FULL:
        for e, outlook in zip_longest(found.items, found.forecasts):
            here.out.fields(e, _settings(e) + (_outlook(outlook) if outlook else []))
            here.out.text("\n")
    else:
        columns = ["protocol", "model", "intent", "replicates", "changed"]
        rows = [[e.protocol, e.model, e.config.intent.name, e.config.replicates, _changed(e)] for e in found.items]
        if found.forecasts:
            columns += ["trainings", "computing", "until done", "needs"]
            for row, outlook in zip(rows, found.forecasts, strict=True):
                cost = outlook.cost
                row += [cost.trainings, length(cost.computing_seconds), _until_done(cost), "; ".join(map(_need, outlook.needs))]
        here.out.table(found, columns, rows)
    if found.together:
        here.out.fields(found, [("together", f"{len(found.items):,} experiments"), *_cost(found.together)])
    if found.refused:
        here.out.text("\nLeft out:")
        here.out.table(found, ["protocol", "model", "why", "hint"], ((r.protocol, r.model, r.message, r.hint) for r in found.refused))


def _settings(e: Experiment) -> list[tuple[str, Any]]:
    c = e.config
    origin = c.origin.get
    constraints = "\n".join(f"{k.text}{' (primary)' if k.metric == c.intent.primary else ''}" for k in c.intent.constraints)
    return [
        ("experiment", f"{e.protocol} on {e.model} ({e.target}), share of {e.quota_group}"),
        ("intent", f"{c.intent.name} ({origin('intent', 'default')})\n{constraints}"),
        *((name, f"{value} ({origin(f'parameters.{name}', 'default')})") for name, value in c.parameters.items()),
        *((name, f"{getattr(c, name)} ({origin(name, 'default')})") for name in _SETTINGS),
    ]


def _changed(e: Experiment) -> Mapping[str, Any]:
    """What somebody said of it."""
    c = e.config
    said = {name: value for name, value in c.parameters.items() if c.origin.get(f"parameters.{name}") == "user"}
    return said | {name: getattr(c, name) for name in _SETTINGS if c.origin.get(name) == "user" and name != "replicates"}


def _outlook(outlook: Outlook) -> list[tuple[str, Any]]:
    return [*_cost(outlook.cost), ("needs", "\n".join(map(_need, outlook.needs)))]


def _cost(cost: Cost) -> list[tuple[str, Any]]:
    known = f", besides {cost.known} of the baseline that are there already" if cost.known else ""
    return [
        ("trainings", f"{cost.trainings:,}{known}"),
        ("computing", length(cost.computing_seconds)),
        ("until done", _until_done(cost) or "not known: none has finished yet"),
    ]


def _until_done(cost: Cost) -> str:
    if cost.seconds is None:
        return ""
    shortest, middle, longest = map(length, cost.seconds)
    return middle if shortest == longest else f"{middle} ({shortest} to {longest})"


def _need(need: Need) -> str:
    c = need.constraint
    if need.gain is None:
        return f"{c.metric}: {'had no interval so far' if need.seen else 'not measured yet'}"
    size = f"{abs(need.gain):.3g}" if not c.relative else f"{abs(need.gain):.2%}"
    return f"{c.metric}: a gain of {size} or more" if need.gain > 0 else f"{c.metric}: a loss of at most {size}"
