"""What an experiment would change and cost, and what its verdict would need: told before it is registered, from what others came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from wichtel.domain import Constraint, Estimate, Experiment, InvalidInput, ModelVersion, Run, RunState, Space, UserError
from wichtel.domain.query import all_of, equals
from wichtel.domain.query_parser import parse_query
from wichtel.experiments.estimates import estimates_of
from wichtel.plans import SourceTree
from wichtel.protocols import Basic, Tuning, get_protocol
from wichtel.protocols.submission import find_baseline
from wichtel.recipes import Edit
from wichtel.store import Artifacts, Database, Transaction

#: Finished experiments of a model, or of a protocol, that are looked at.
_LATEST = 20
#: Experiments that are forecast one by one.
MOST_OUTLOOKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the recipe would do to the source."""

    #: The unified diff; empty if the source stays as it is.
    diff: str = ""
    summary: str = ""
    #: What it would leave as it is, and why.
    notes: tuple[str, ...] = ()
    #: Of a search: these are values that it might choose, not those that it will.
    example: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a constraint takes to hold."""

    constraint: Constraint
    #: How far the interval reached to either side of the difference in the latest experiments on the model, in the constraint's own terms.
    #: None if there were none, or if they had no interval.
    reach: float | None = None
    #: The smallest gain that would be shown to reach the threshold, if the interval is as wide as it was; below zero, a loss.
    gain: float | None = None
    #: How many experiments that is the median of.
    seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What experiments would take."""

    #: Of baseline, candidates and trials; those that are there already are left out.
    trainings: int
    #: Of the baseline, that are there already and will be used.
    known: int = 0
    #: Of one training of the model, the median of the latest; None if there was none.
    training_seconds: float | None = None
    #: From start to end, of the latest experiments of the protocol: the shortest, the median, the longest.
    seconds: tuple[float, float, float] | None = None
    #: How many experiments that was, and whether they were on this model.
    seen: int = 0
    same_model: bool = False
    #: Of all trainings, one after the other; None if nothing is known of one.
    computing_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What an experiment would take, and what its verdict would need."""

    cost: Cost
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast(Outlook):
    """What is known of an experiment before it is registered."""

    #: None if its protocol tells nothing beforehand.
    change: Change | None
    #: Why the recipe would fail.
    problem: UserError | None
    #: What would be searched.
    space: Space | None


class Forecasts:
    """Looks ahead.

    Args:
        db: Where experiments live.
        artifacts: Where source trees live.
    """

    def __init__(self, db: Database, artifacts: Artifacts) -> None:
        self._db = db
        self._artifacts = artifacts

    def of(self, experiment: Experiment) -> Forecast:
        """What `experiment`, which need not be stored, would do. Its recipe is applied; nothing of the plan is executed."""
        with self._db.read() as tx:
            version = tx.versions.get(experiment.target)
            outlook = _Past(tx).outlook(experiment, version)
        change, problem, space = None, None, None
        protocol = get_protocol(experiment.protocol)
        parameters = experiment.config.parameters
        try:
            edit: Edit | None = None
            if isinstance(protocol, Tuning):
                space = protocol.search_space(version.analysis, parameters)
                edit = protocol.edit(SourceTree.load(self._artifacts, version.tree), version.analysis, _other(space, protocol, experiment))
            elif isinstance(protocol, Basic):
                edit = protocol.edit(SourceTree.load(self._artifacts, version.tree), version.analysis, parameters)
            if edit is not None:
                change = Change(diff=edit.diff, summary=edit.summary, notes=edit.notes, example=space is not None)
            elif isinstance(protocol, Basic):
                change = Change(summary="trained again, unchanged")
        except UserError as error:
            problem = error
        return Forecast(change=change, problem=problem, space=space, cost=outlook.cost, needs=outlook.needs)

    def each(self, experiments: Sequence[Experiment]) -> tuple[Outlook, ...]:
        """What each would take and need, in their order.

        Raises:
            InvalidInput: more than `MOST_OUTLOOKS`.
        """
        if len(experiments) > MOST_OUTLOOKS:
            raise InvalidInput(
                f"these are {len(experiments):,} experiments; at most {MOST_OUTLOOKS} are forecast one by one.",
                hint="Ask for a forecast of all together, or for fewer models at once.",
            )
        with self._db.read() as tx:
            versions = tx.versions.many({e.target for e in experiments})
            past = _Past(tx)
            return tuple(past.outlook(e, versions[e.target]) for e in experiments)

    def together(self, experiments: Sequence[Experiment]) -> Cost:
        """What many would cost, each on its own: from the latest of each protocol, whatever their models."""
        trainings, spans, seen = 0, [0.0, 0.0, 0.0], 0
        with self._db.read() as tx:
            for name in sorted({e.protocol for e in experiments}):
                mine = [e for e in experiments if e.protocol == name]
                trainings += sum(_trainings(e) for e in mine)
                found = _latest(tx, protocol=name)
                span = _span(found)
                seen += len(found)
                spans = [a + len(mine) * (b if span else math.nan) for a, b in zip(spans, span or spans, strict=True)]
        known = seen and not any(map(math.isnan, spans))
        return Cost(trainings=trainings, seconds=(spans[0], spans[1], spans[2]) if known else None, seen=seen)


def _latest(tx: Transaction, *, model: str = "", protocol: str = "") -> list[Experiment]:
    """The latest that came to a verdict."""
    query = all_of(
        equals("model", model) if model else None,
        equals("protocol", protocol) if protocol else None,
        parse_query("status:SATISFIED,UNSATISFIED"),
    )
    return list(tx.experiments.search(query, limit=_LATEST).items)


class _Past:
    """What earlier experiments came to, each thing read once.

    Args:
        tx: Where from.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._models: dict[str, tuple[list[Experiment], list[dict[str, Estimate]], float | None]] = {}
        self._protocols: dict[str, list[Experiment]] = {}
        self._known: dict[tuple[str, int, float], int] = {}

    def outlook(self, experiment: Experiment, version: ModelVersion) -> Outlook:
        """Of an experiment on `version`."""
        on_model, estimates, training = self._of_model(experiment.model)
        known = self._baselines(experiment, version)
        alike = [e for e in on_model if e.protocol == experiment.protocol]
        others = alike or self._of_protocol(experiment.protocol)
        trainings = _trainings(experiment) - known
        cost = Cost(
            trainings=trainings,
            known=known,
            training_seconds=training,
            computing_seconds=None if training is None else trainings * training,
            seconds=_span(others),
            seen=len(others),
            same_model=bool(alike),
        )
        return Outlook(cost=cost, needs=tuple(_need(c, estimates) for c in experiment.config.intent.constraints))

    def _of_model(self, model: str) -> tuple[list[Experiment], list[dict[str, Estimate]], float | None]:
        """The latest, their estimates, and how long a training took."""
        if model not in self._models:
            latest = _latest(self._tx, model=model)
            runs = self._tx.runs.many([f"{e.id}/candidate/0" for e in latest])
            trained = [seconds for run in runs if (seconds := _seconds(run)) is not None]
            self._models[model] = latest, [*estimates_of(self._tx, latest).values()], median(trained) if trained else None
        return self._models[model]

    def _of_protocol(self, protocol: str) -> list[Experiment]:
        if protocol not in self._protocols:
            self._protocols[protocol] = _latest(self._tx, protocol=protocol)
        return self._protocols[protocol]

    def _baselines(self, experiment: Experiment, version: ModelVersion) -> int:
        """How many trainings of the baseline are there already."""
        config = experiment.config
        key = (version.id, config.replicates, config.baseline_max_age_days)
        if key not in self._known:
            found = (find_baseline(self._tx, experiment, version.tree, version.analysis, k) for k in range(config.replicates))
            self._known[key] = sum(run is not None for _, run in found)
        return self._known[key]


def _trainings(experiment: Experiment) -> int:
    """Of baseline and candidate, and the trials of a search."""
    protocol = get_protocol(experiment.protocol)
    trials = int(experiment.config.parameters["trials"]) if isinstance(protocol, Tuning) else 0
    return 2 * experiment.config.replicates + trials


def _seconds(run: Run) -> float | None:
    if run.state is not RunState.SUCCEEDED or run.started is None or run.ended is None:
        return None
    return (run.ended - run.started).total_seconds()


def _span(experiments: Sequence[Experiment]) -> tuple[float, float, float] | None:
    took = [(e.finished - e.started).total_seconds() for e in experiments if e.started is not None and e.finished is not None]
    return (min(took), median(took), max(took)) if took else None


def _other(space: Space, protocol: Tuning, experiment: Experiment) -> dict[str, int | float | bool | str | None]:
    """A configuration that the search might choose; the same for the same experiment."""
    return space.sample(Random(f"{protocol.name}/{experiment.model}"))


def _need(constraint: Constraint, estimates: Sequence[dict[str, Estimate]]) -> Need:
    found = [known[constraint.metric] for known in estimates if constraint.metric in known]
    wide = [e.relative_high - e.relative_low if constraint.relative else e.high - e.low for e in found]
    reaches = [width / 2 for width in wide if not math.isnan(width)]
    reach = median(reaches) if reaches else math.inf
    if math.isinf(reach):
        return Need(constraint=constraint, seen=len(reaches))
    return Need(constraint=constraint, reach=reach, gain=constraint.threshold + reach, seen=len(reaches))
