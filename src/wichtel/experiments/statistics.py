"""What experiments came to: the tables II, III and IV of heinzelmaennchen, of those that finished in a span of time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from wichtel.domain import ExperimentStatus
from wichtel.experiments.records import Exports
from wichtel.experiments.usage import CallUsage, Usage

if TYPE_CHECKING:
    import polars as pl

_RESULTS = (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)
#: Of the records; their configurations and results are much longer.
_COLUMNS = ("id", "owner", "team", "protocol", "kind", "status", "created", "started", "began", "finished", "models_trained")
_SECONDS_A_DAY = 86_400.0
#: Of `Statistics.lately`.
_KEPT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUsage:
    """A row of table II: who and what ended with a status. Users who had several are in several rows."""

    #: ``Total`` in the last row.
    status: str
    users: int
    #: Of all users.
    users_percent: float
    experiments: int
    experiments_percent: float
    #: Trained.
    models: int
    models_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeUsage:
    """A row of table III: medians, of those experiments that came so far."""

    #: ``Median`` in the last row, which is over all.
    status: str
    #: From the registration to the start.
    queuing_seconds: float | None
    #: From the start to the first step.
    scheduling_seconds: float | None
    #: From the first step to the end.
    execution_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolUsage:
    """A row of table IV."""

    protocol: str
    #: Of protocol: basic, tuning and so on.
    kind: str
    users: int
    #: Of all users.
    users_percent: float
    experiments: int
    #: Of all experiments.
    experiments_percent: float
    #: SATISFIED or UNSATISFIED.
    with_result: int
    #: Of the protocol's experiments; so is the next.
    with_result_percent: float
    satisfied: int
    satisfied_percent: float
    models: int
    #: Of all models.
    models_percent: float
    models_per_experiment: float
    #: From the first step to the end, the mean of those with a result.
    execution_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums, and what they come to in a month or a day."""

    #: When the first and the last of these experiments finished; None if there are none.
    first: datetime | None
    last: datetime | None
    users: int
    #: The mean over calendar months.
    users_monthly: float
    experiments: int
    experiments_daily: float
    models: int
    models_daily: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """What finished on a day, by UTC. Days on which nothing did are left out."""

    day: date
    #: Status → how many experiments.
    experiments: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekUsage:
    """Whose experiments finished in a week. Weeks in which none did are left out."""

    #: Its Monday, by UTC.
    week: date
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """All tables, those of experiments of the same ones."""

    totals: Totals
    #: Table I; not by team.
    requests: tuple[CallUsage, ...]
    #: Table II.
    statuses: tuple[StatusUsage, ...]
    #: Table III.
    times: tuple[TimeUsage, ...]
    #: Table IV.
    protocols: tuple[ProtocolUsage, ...]
    #: In the course of time.
    days: tuple[DayUsage, ...] = ()
    weeks: tuple[WeekUsage, ...] = ()


class Statistics:
    """The analysis over exported and other finished experiments.

    Args:
        exports: Where they are read.
        usage: Who counts requests.
    """

    def __init__(self, exports: Exports, usage: Usage) -> None:
        self._exports = exports
        self._usage = usage
        #: Days and team → when a report was made, and the report.
        self._lately: dict[tuple[int, str | None], tuple[float, UsageReport]] = {}

    def lately(self, days: int, team: str | None = None) -> UsageReport:
        """The report of the latest so many days, or of all with 0; up to a minute old, since it reads every experiment of that time."""
        now = time.monotonic()
        self._lately = {key: kept for key, kept in self._lately.items() if now - kept[0] < _KEPT_SECONDS}
        if (kept := self._lately.get((days, team))) is not None:
            return kept[1]
        report = self.report(since=datetime.now(UTC) - timedelta(days=days) if days else None, team=team)
        self._lately[days, team] = now, report
        return report

    def report(self, *, since: datetime | None = None, before: datetime | None = None, team: str | None = None) -> UsageReport:
        """All tables, of what finished from `since` to before `before`.

        Raises:
            InvalidInput: a time without a zone.
        """
        frame = self._exports.frame(since=since, before=before, team=team, columns=_COLUMNS)
        return UsageReport(
            totals=totals_of(frame, since, before),
            requests=tuple(self._usage.requests(since, before)),
            statuses=statuses_of(frame),
            times=times_of(frame),
            protocols=protocols_of(frame),
            days=days_of(frame),
            weeks=weeks_of(frame),
        )


def totals_of(frame: pl.DataFrame, since: datetime | None = None, before: datetime | None = None) -> Totals:
    """The sums of `frame`, over the span of time that is given, or that they lie in."""
    import polars as pl

    first: Any = frame["finished"].min()
    last: Any = frame["finished"].max()
    begin, end = since or first, before or last
    days = max(1.0, (end - begin).total_seconds() / _SECONDS_A_DAY) if begin is not None and end is not None else 1.0
    monthly: Any = frame.group_by(pl.col("finished").dt.truncate("1mo")).agg(pl.col("owner").n_unique())["owner"].mean()
    models = int(frame["models_trained"].sum())
    return Totals(
        first=first,
        last=last,
        users=frame["owner"].n_unique(),
        users_monthly=float(monthly or 0.0),
        experiments=len(frame),
        experiments_daily=len(frame) / days,
        models=models,
        models_daily=models / days,
    )


def statuses_of(frame: pl.DataFrame) -> tuple[StatusUsage, ...]:
    """Table II of `frame`: a row for each status, and their total."""
    import polars as pl

    users, experiments, models = frame["owner"].n_unique(), len(frame), int(frame["models_trained"].sum())

    def row(name: str, part: pl.DataFrame) -> StatusUsage:
        counts = part["owner"].n_unique(), len(part), int(part["models_trained"].sum())
        return StatusUsage(
            status=name,
            users=counts[0],
            users_percent=_percent(counts[0], users),
            experiments=counts[1],
            experiments_percent=_percent(counts[1], experiments),
            models=counts[2],
            models_percent=_percent(counts[2], models),
        )

    return (*(row(str(status), frame.filter(pl.col("status") == str(status))) for status in ExperimentStatus), row("Total", frame))


def times_of(frame: pl.DataFrame) -> tuple[TimeUsage, ...]:
    """Table III of `frame`: a row for each status, and one over all."""
    import polars as pl

    timed = frame.select(
        "status",
        queuing=_seconds("created", "started"),
        scheduling=_seconds("started", "began"),
        execution=_seconds("began", "finished"),
    )

    def row(name: str, part: pl.DataFrame) -> TimeUsage:
        medians: list[Any] = [part[phase].median() for phase in ("queuing", "scheduling", "execution")]
        return TimeUsage(status=name, queuing_seconds=medians[0], scheduling_seconds=medians[1], execution_seconds=medians[2])

    return (*(row(str(status), timed.filter(pl.col("status") == str(status))) for status in ExperimentStatus), row("Median", timed))


def protocols_of(frame: pl.DataFrame) -> tuple[ProtocolUsage, ...]:
    """Table IV of `frame`, of all protocols that were used, those with the most users first."""
    import polars as pl

    users, experiments, models = frame["owner"].n_unique(), len(frame), int(frame["models_trained"].sum())
    result = pl.col("status").is_in([str(status) for status in _RESULTS])
    found = frame.group_by("protocol").agg(
        kind=pl.col("kind").last(),
        users=pl.col("owner").n_unique(),
        experiments=pl.len(),
        with_result=result.sum(),
        satisfied=(pl.col("status") == str(ExperimentStatus.SATISFIED)).sum(),
        models=pl.col("models_trained").sum(),
        execution=_seconds("began", "finished").filter(result).mean(),
    )
    return tuple(
        ProtocolUsage(
            protocol=row["protocol"],
            kind=row["kind"],
            users=row["users"],
            users_percent=_percent(row["users"], users),
            experiments=row["experiments"],
            experiments_percent=_percent(row["experiments"], experiments),
            with_result=row["with_result"],
            with_result_percent=_percent(row["with_result"], row["experiments"]),
            satisfied=row["satisfied"],
            satisfied_percent=_percent(row["satisfied"], row["experiments"]),
            models=row["models"],
            models_percent=_percent(row["models"], models),
            models_per_experiment=row["models"] / row["experiments"],
            execution_seconds=row["execution"],
        )
        for row in found.sort("users", "experiments", "protocol", descending=[True, True, False]).to_dicts()
    )


def days_of(frame: pl.DataFrame) -> tuple[DayUsage, ...]:
    """The days of `frame`, the first first."""
    import polars as pl

    counted = frame.group_by(pl.col("finished").dt.date().alias("day"), "status").len().sort("day", "status")
    found: dict[date, dict[str, int]] = {}
    for day, status, number in counted.iter_rows():
        found.setdefault(day, {})[status] = number
    return tuple(DayUsage(day=day, experiments=numbers) for day, numbers in found.items())


def weeks_of(frame: pl.DataFrame) -> tuple[WeekUsage, ...]:
    """The weeks of `frame`, the first first."""
    import polars as pl

    counted = frame.group_by(pl.col("finished").dt.truncate("1w").dt.date().alias("week")).agg(pl.col("owner").n_unique()).sort("week")
    return tuple(WeekUsage(week=week, users=users) for week, users in counted.iter_rows())


def _seconds(begin: str, end: str) -> pl.Expr:
    import polars as pl

    return (pl.col(end) - pl.col(begin)).dt.total_microseconds() / 1e6


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else 0.0
