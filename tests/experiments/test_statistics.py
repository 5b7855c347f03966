from datetime import UTC, datetime, timedelta

import pytest

from wichtel.domain import ExperimentStatus
from wichtel.experiments.exporter import Exporter
from wichtel.experiments.records import Exports
from wichtel.experiments.statistics import Statistics
from wichtel.experiments.usage import Usage
from wichtel.store import Files

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
S, U, C, E = ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED, ExperimentStatus.CANCELED, ExperimentStatus.USER_ERROR


@pytest.fixture
def usage(database, add, finished, tmp_path):
    """Three users; one of them in April and of another team. Half of it is exported."""
    files = Files(tmp_path / "exports")
    add(database, finished("a", S), finished("b", U, protocol="Q"), finished("c", S, owner="bo", finished=NOON + timedelta(days=2)))
    Exporter(database, files).run()
    hours = timedelta(hours=3)
    add(
        database,
        # Canceled in the queue: neither started nor begun.
        finished("d", C, owner="bo", started=None, began=None, generation=0),
        finished("e", E, owner="cy", quota_group="maps", finished=NOON + timedelta(days=30), began=NOON + timedelta(days=30) - hours),
    )
    return Statistics(Exports(database, files), Usage(database))


def test_table_two_counts_users_experiments_and_models_by_status(usage):
    rows = {row.status: row for row in usage.report().statuses}
    assert list(rows) == [*map(str, ExperimentStatus), "Total"]
    assert [(r.users, r.experiments, r.models) for r in (rows["SATISFIED"], rows["CANCELED"], rows["Total"])] == [
        (2, 2, 4),
        (1, 1, 0),
        (3, 5, 6),
    ]
    assert rows["SATISFIED"].users_percent == pytest.approx(66.67, abs=0.01)
    assert rows["SATISFIED"].experiments_percent == pytest.approx(40)
    assert rows["UNSATISFIED"].models_percent == pytest.approx(33.33, abs=0.01)
    assert rows["SYSTEM_ERROR"].users == 0


def test_table_three_has_medians_of_the_phases_that_were_reached(usage):
    rows = {row.status: row for row in usage.report().times}
    assert (rows["SATISFIED"].queuing_seconds, rows["SATISFIED"].scheduling_seconds, rows["SATISFIED"].execution_seconds) == (1, 2, 3600)
    assert (rows["CANCELED"].queuing_seconds, rows["CANCELED"].execution_seconds) == (None, None)
    assert rows["USER_ERROR"].execution_seconds == 3 * 3600
    assert rows["Median"].execution_seconds == 3600


def test_table_four_shows_the_most_widely_used_protocols_first(usage):
    p, q = usage.report().protocols
    assert (p.protocol, p.users, p.experiments, p.with_result, p.satisfied, p.models) == ("P", 3, 4, 2, 2, 4)
    assert (p.experiments_percent, p.with_result_percent, p.satisfied_percent) == (80, 50, 50)
    assert (p.models_per_experiment, p.execution_seconds) == (1.0, 3600)
    assert (q.protocol, q.users, q.with_result, q.satisfied) == ("Q", 1, 1, 0)


def test_totals_come_by_month_and_day(usage):
    totals = usage.report().totals
    assert (totals.users, totals.experiments, totals.models) == (3, 5, 6)
    # Ana and Bo in March, Cy in April.
    assert totals.users_monthly == 1.5
    assert totals.experiments_daily == pytest.approx(5 / 30)


def test_a_span_and_a_team_narrow_all_of_it(usage):
    assert usage.report(since=NOON + timedelta(days=1)).totals.experiments == 2
    assert usage.report(before=NOON + timedelta(days=1)).totals.experiments == 3
    assert usage.report(team="maps").totals.users == 1
    none = usage.report(team="nobody")
    totals, statuses, times, protocols = none.totals, none.statuses, none.times, none.protocols
    assert (totals.experiments, totals.users_monthly, totals.first) == (0, 0.0, None)
    assert {row.users_percent for row in statuses} == {0.0}
    assert {row.queuing_seconds for row in times} == {None}
    assert protocols == ()


def test_of_thousands_that_finished_in_one_moment_each_counts_once_exported_or_not(database, add, finished, tmp_path):
    files = Files(tmp_path / "exports")
    add(database)
    with database.transaction() as tx:
        tx.experiments.add_many([finished(f"e-{i:04}", quota_group="maps" if i % 2 else "ads") for i in range(4100)])
    exports = Exports(database, files)
    for _ in range(2):
        frame = exports.frame(since=NOON, before=NOON + timedelta(seconds=1))
        assert frame["id"].to_list() == [f"e-{i:04}" for i in range(4100)]
        report = Statistics(exports, Usage(database)).report(team="maps", since=NOON)
        assert report.totals.experiments == 2050
        assert exports.frame(before=NOON).is_empty()
        assert Exporter(database, files).run()["rows"] in (4100, 0)
