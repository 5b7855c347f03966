"""Why an experiment waits, and what else does: shares, pauses, limits, and runs that wait for workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from wichtel.domain import (
    ExperimentState,
    GroupStatus,
    InvalidInput,
    Queue,
    QuotaGroup,
    Resources,
    Run,
    RunSpec,
    RunState,
    Waiting,
    WaitKind,
    WaitReason,
)
from wichtel.experiments.scheduler import Ledger, Reached
from wichtel.protocols import Basic, Tuning, protocols
from wichtel.protocols.submission import find_baseline, owner_of
from wichtel.store import Database, Transaction
from wichtel.store.queue import Line, Place

#: Most that one page tells of.
_MOST = 1000
#: What the pace of a group is taken from: its starts in so long, of which there have to be so many.
_LATELY = timedelta(hours=3)
_ENOUGH = 3


class Waits:
    """What waits, and why. Asks a bounded number of queries, however much waits.

    Args:
        db: Where experiments and runs live.
        default_share: Most experiments IN_PROGRESS of a group that nobody set a share for.
    """

    def __init__(self, db: Database, *, default_share: int) -> None:
        self._db = db
        self._default_share = default_share

    def why(self, experiment: str) -> Waiting:
        """Why an experiment waits, or that it does not.

        Raises:
            NotFound: there is none of that id.
        """
        with self._db.read() as tx:
            place = tx.queue.place(experiment)
            if place.state is ExperimentState.ENQUEUED:
                ledger = Ledger.read(tx, default_share=self._default_share)
                return _enqueued(place, tx.queue.position(place), ledger)
            if place.state is ExperimentState.IN_PROGRESS:
                return self._in_progress(tx, place)
            reason = WaitReason(kind=WaitKind.FINISHED, text="it has finished")
            return _waiting(place, place.started or place.created, [reason])

    def queue(self, *, group: str | None = None, limit: int = 100, cursor: str | None = None) -> Queue:
        """The groups, and the experiments that are ENQUEUED.

        Args:
            group: Of this one alone.
            limit: At most so many experiments, 1,000 at most.
            cursor: `Queue.cursor` of the page before.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        if not 1 <= limit <= _MOST:
            raise InvalidInput(f"{limit} is not between 1 and {_MOST}.", where="limit", hint="Ask for the next page instead.")
        with self._db.read() as tx:
            ledger = Ledger.read(tx, default_share=self._default_share)
            found, following = tx.queue.page(limit, cursor, group=group)
            lines = tx.queue.lines()
            groups = [g for g in ledger.groups(lines) if group in (None, g.name)]
            statuses = _statuses(groups, ledger, lines, tx.queue.runs_at_work(), tx.queue.runs_waiting())
        return Queue(groups=statuses, items=tuple(_enqueued(place, at, ledger) for place, at in found), cursor=following)

    def pace(self) -> dict[str, float]:
        """Group → seconds from one start to the next, in the latest hours; of those in which a few were started."""
        starts: dict[str, list[datetime]] = defaultdict(list)
        with self._db.read() as tx:
            for time, group, _, _ in tx.queue.starts(tx.now - _LATELY):
                starts[group].append(time)
            now = tx.now
        return {group: (now - times[0]).total_seconds() / len(times) for group, times in starts.items() if len(times) >= _ENOUGH}

    def _in_progress(self, tx: Transaction, place: Place) -> Waiting:
        since = place.started or place.created
        owners = [f"experiment/{place.id}/run/{place.generation}", f"study/{place.id}/study"]
        at_work, waiting, first = tx.queue.runs_of(owners)
        if first is None and not at_work and (shared := _baseline_of_another(tx, place.id)) is not None:
            return _waiting(place, since, _baseline_reasons(tx, shared))
        if first is None:
            text = f"workers are at {_many(at_work, 'run')} of it" if at_work else "its steps go on; none of its own runs waits"
            return _waiting(place, since, [WaitReason(kind=WaitKind.AT_WORK, text=text)])
        before, line, reasons = _held_up(tx, first)
        if not reasons:
            text = f"{_many(waiting, 'run')} of it {'waits' if waiting == 1 else 'wait'} for a worker: {line}"
            reasons = [WaitReason(kind=WaitKind.WORKER, text=text)]
        return _waiting(place, since, reasons, runs_waiting=waiting, runs_before=before)


def _held_up(tx: Transaction, spec: RunSpec) -> tuple[int, str, list[WaitReason]]:
    """How many runs of its group are before one that waits; that in words; and whether the group's share keeps it waiting."""
    group = tx.quota_groups.get(spec.quota_group)
    busy = [other for other in tx.queue.runs_at_work() if other.quota_group == group.name]
    before = tx.queue.runs_before(spec)
    line = f"{_many(before, 'run')} of {group.name} before it" if before else "it is the next of its group"
    return before, line, _share_reasons(group, spec.resources, busy, line)


def _baseline_of_another(tx: Transaction, identity: str) -> Run | None:
    """The run that an experiment waits for though another submitted it: a training of the baseline, which those on one model share."""
    experiment = tx.experiments.get(identity)
    version = tx.versions.find(experiment.target)
    if version is None or not isinstance(protocols().get(experiment.protocol), Basic | Tuning):
        return None
    for replicate in range(experiment.config.replicates):
        _, run = find_baseline(tx, experiment, version.tree, version.analysis, replicate)
        if run is not None and not run.state.ended and run.spec.owner != owner_of(experiment):
            return run
    return None


def _baseline_reasons(tx: Transaction, run: Run) -> list[WaitReason]:
    other = run.spec.owner.removeprefix("experiment/").partition("/run/")[0]
    how, reasons = "a worker is at it", list[WaitReason]()
    if run.state is not RunState.RUNNING:
        _, line, reasons = _held_up(tx, run.spec)
        how = f"that waits for a worker: {line}"
    text = f"it waits for its baseline, which run {run.spec.id} of experiment {other} trains; {how}"
    return [WaitReason(kind=WaitKind.BASELINE, text=text, run=run.spec.id, experiment=other), *reasons]


def _enqueued(place: Place, position: int, ledger: Ledger) -> Waiting:
    group = ledger.group(place.quota_group)
    used, most = ledger.used(group.name), group.max_in_progress
    before = f"; {position - 1:,} before it" if position > 1 else "; it is the next" if used >= most else ""
    reasons = []
    if group.paused is not None:
        because = f": {group.paused.reason.rstrip('.')}" if group.paused.reason else ""
        text = f"its group {group.name} was paused by {group.paused.by}{because}"
        reasons.append(WaitReason(kind=WaitKind.PAUSED, text=text, paused=group.paused))
    reached = ledger.reached(place.quota_group, place.owner, place.protocol)
    reasons += [_limit_reason(limit) for limit in sorted(reached, key=lambda r: r.next or datetime.max.replace(tzinfo=UTC), reverse=True)]
    if used >= most:
        text = f"its group {group.name} is full: {used:,} of {most:,} in progress{before}"
        reasons.append(WaitReason(kind=WaitKind.GROUP_FULL, text=text, used=used, most=most))
    if not reasons:
        reasons.append(WaitReason(kind=WaitKind.STARTING, text=f"it is about to start{before}"))
    return _waiting(place, place.created, reasons, position=position)


def _limit_reason(reached: Reached) -> WaitReason:
    limit = reached.limit
    if reached.per_hour:
        when = f"; the next at {reached.next:%H:%M:%S} UTC" if reached.next is not None else ""
        text = f"limit of {_many(reached.most, 'start')} an hour for {limit.of}{when}"
    else:
        text = f"limit of {reached.most:,} in progress for {limit.of}"
    return WaitReason(kind=WaitKind.LIMIT, text=text, limit=limit, used=reached.used, most=reached.most, next=reached.next)


def _share_reasons(group: QuotaGroup, need: Resources, busy: list[RunSpec], line: str) -> list[WaitReason]:
    """The parts of the group's share of the fleet into which one more run of `need` does not fit."""
    parts = (
        ("workers", group.max_runs, float(len(busy)), 1.0),
        ("CPUs", group.max_cpus, sum(spec.resources.cpus for spec in busy), need.cpus),
        ("GPUs", group.max_gpus, sum(spec.resources.gpus for spec in busy), need.gpus),
        ("bytes of memory", group.max_memory_bytes, sum(spec.resources.memory_bytes or 0 for spec in busy), need.memory_bytes or 0),
    )
    reasons = []
    for what, most, used, more in parts:
        if most is None or used + more <= most + 1e-9:
            continue
        if more > most:
            text = f"it needs {more:g} {what}, more than the share of its group {group.name}, {most:g}: ask an admin for a larger one"
        else:
            text = f"its group {group.name} has its share of the fleet: {used:g} of {most:g} {what}, and it needs {more:g} more; {line}"
        reasons.append(WaitReason(kind=WaitKind.FLEET_SHARE, text=text, used=used, most=most))
    return reasons


def _waiting(
    place: Place,
    since: datetime,
    reasons: list[WaitReason],
    *,
    position: int | None = None,
    runs_waiting: int = 0,
    runs_before: int = 0,
) -> Waiting:
    text = "; ".join(reason.text for reason in reasons)
    return Waiting(
        experiment=place.id,
        state=place.state,
        quota_group=place.quota_group,
        owner=place.owner,
        protocol=place.protocol,
        model=place.model,
        priority=place.priority,
        since=since,
        text=f"{text[0].upper()}{text[1:]}.",
        reasons=tuple(reasons),
        position=position,
        runs_waiting=runs_waiting,
        runs_before=runs_before,
    )


def _statuses(
    groups: Iterable[QuotaGroup], ledger: Ledger, lines: dict[str, Line], at_work: list[RunSpec], waiting: dict[str, int]
) -> tuple[GroupStatus, ...]:
    busy: dict[str, list[RunSpec]] = defaultdict(list)
    for spec in at_work:
        busy[spec.quota_group].append(spec)
    found = []
    for group in groups:
        line, own = lines.get(group.name), busy[group.name]
        found.append(
            GroupStatus(
                group=group,
                in_progress=ledger.used(group.name),
                waiting=line.waiting if line else 0,
                oldest_waiting=line.oldest if line else None,
                runs=len(own),
                cpus=sum(spec.resources.cpus for spec in own),
                gpus=sum(spec.resources.gpus for spec in own),
                memory_bytes=sum(spec.resources.memory_bytes or 0 for spec in own),
                runs_waiting=waiting.get(group.name, 0),
            )
        )
    return tuple(found)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
