"""A service that has been in use for two years: models, experiments, studies and trials in a database. No benchmark itself.

What is written could have come about: experiments have configurations, verdicts and results as protocols write them, of forty teams and
some two hundred users, over two years, with statuses in the shares of the paper's table II (heinzelmaennchen, 2024). The rows go in by COPY
on PostgreSQL, since a million of them take minutes otherwise; nothing that is measured goes that way.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa

import wichtel as wt
from wichtel.domain import (
    BUILT_IN_INTENTS,
    Analysis,
    Estimate,
    Expectation,
    ExperimentConfig,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    Feature,
    Job,
    Metadata,
    Objective,
    Registration,
    RunState,
    StudySpec,
    StudyState,
    Trial,
    Tunable,
    Verdict,
    Window,
)
from wichtel.store import Database, tables
from wichtel.store.metric_deltas import numbers_of

INTENT = next(i for i in BUILT_IN_INTENTS if i.name == "improve_quality").resolve("auc", Expectation.LARGER)
#: Of the paper's 9,648 experiments.
SHARES = {
    ExperimentStatus.SATISFIED: 1461,
    ExperimentStatus.UNSATISFIED: 1402,
    ExperimentStatus.USER_ERROR: 3689,
    ExperimentStatus.SYSTEM_ERROR: 566,
    ExperimentStatus.DEADLINE_EXCEEDED: 373,
    ExperimentStatus.CANCELED: 2157,
}
PROTOCOLS = ("TrainModel", "SetHyperparameters", "TuneHyperparameters", "ReduceTrainingData")
TEAMS = tuple(f"team-{n:02d}" for n in range(40))
USERS = tuple(f"user-{n:03d}" for n in range(205))
FIRST, LAST = datetime(2024, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
#: Experiments of the newest days that have not finished.
UNFINISHED = 300
SPACE = wt.Space({"rate": wt.Float(1e-4, 1e-1, log=True), "width": wt.Int(16, 512, log=True), "dropout": wt.Float(0, 0.6)})


def populate(
    database: Database, *, models: int = 2_000, experiments: int = 100_000, studies: int = 2_000, trials: int = 1_000_000, seed: int = 0
) -> None:
    """Fill an empty database.

    Args:
        database: With its tables.
        models: How many, two versions each.
        experiments: How many; about five to a registration.
        studies: How many, the largest with a twentieth of all trials.
        trials: Of all studies together.
        seed: The same gives the same rows.
    """
    draw = random.Random(seed)
    names = [f"{draw.choice(('ads', 'feed', 'search', 'maps', 'mail'))}/{draw.choice(TEAMS)}/model-{n:04d}" for n in range(models)]
    _copy(database, tables.models, _models(names, draw))
    _copy(database, tables.versions, _versions(names))
    registrations, rows = _experiments(names, experiments, draw)
    _copy(database, tables.registrations, registrations)
    _copy(database, tables.experiments, rows)
    judged = (row for row in rows if row["result"] is not None)
    _copy(database, tables.metric_deltas, ({"experiment": row["id"], **n} for row in judged for n in numbers_of(row["result"])))
    sizes = _sizes(studies, trials)
    _copy(database, tables.studies, (_study(n, size) for n, size in enumerate(sizes)))
    _copy(database, tables.trials, (row for n, size in enumerate(sizes) for row in _trials(n, size, draw)))
    if not database.is_sqlite:
        # As the database itself does it by and by, which would take processors from what is measured.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))


def _sizes(studies: int, trials: int) -> list[int]:
    largest = trials // 20
    rest, more = divmod(trials - largest, studies - 1)
    return [largest, *(rest + (n < more) for n in range(studies - 1))]


def _models(names: list[str], draw: random.Random) -> Iterator[dict[str, Any]]:
    for n, name in enumerate(names):
        yield {"name": name, "owner": draw.choice(USERS), "team": name.split("/")[1], "head": f"v-{n:06d}-1", "created": FIRST}


ANALYSIS = Analysis(
    trainer="keras",
    features=tuple(Feature(name=f"feature_{n}", kind="categorical" if n % 3 else "numeric") for n in range(40)),
    tunables=tuple(Tunable(name=f"tower/width_{n}", kind="int", default=64, min=16, max=512, log=True) for n in range(12)),
    metadata=Metadata(primary_metric="auc", better=Expectation.LARGER),
    job=Job(
        dataset="clicks",
        label="clicked",
        train=Window(start=FIRST, end=FIRST + timedelta(days=60)),
        evaluation=Window(start=FIRST + timedelta(days=60), end=FIRST + timedelta(days=67)),
        holdout=Window(start=FIRST + timedelta(days=67), end=FIRST + timedelta(days=74)),
    ),
)


def _versions(names: list[str]) -> Iterator[dict[str, Any]]:
    for n, name in enumerate(names):
        for k in range(2):
            yield {
                "id": f"v-{n:06d}-{k}",
                "model": name,
                "tree": f"{n:032x}{k:032x}",
                "parent": f"v-{n:06d}-0" if k else None,
                "recipe": "sets tower/width_1 to 128" if k else "",
                "experiment": "",
                "created": FIRST + timedelta(days=k),
                "analysis": ANALYSIS,
            }


def _experiments(names: list[str], count: int, draw: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    registrations: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    statuses, weights = tuple(SHARES), tuple(SHARES.values())
    step = (LAST - FIRST) / (count / 5)
    while len(rows) < count:
        number, owner = len(registrations), draw.choice(USERS)
        created = FIRST + number * step
        size = min(draw.randint(1, 9), count - len(rows))
        chosen = draw.sample(names, size)
        protocol = draw.choice(PROTOCOLS)
        identities = tuple(f"e-{len(rows) + k:010d}" for k in range(size))
        document = Registration(
            id=f"r-{number:010d}", owner=owner, models=tuple(chosen), protocols=(protocol,), experiments=identities, created=created
        )
        registrations.append({"id": document.id, "owner": owner, "created": created, "canceled": None, "document": document})
        for identity, name in zip(identities, chosen, strict=True):
            finished = len(rows) < count - UNFINISHED
            status = draw.choices(statuses, weights)[0] if finished else None
            judged = status in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)
            started = created + timedelta(seconds=draw.expovariate(1.0))
            took = timedelta(hours=draw.lognormvariate(2, 1)) if finished else None
            result = _result(identity, status is ExperimentStatus.SATISFIED, draw) if judged else None
            rows.append(
                {
                    "id": identity,
                    "registration": document.id,
                    "model": name,
                    "target": f"v-{names.index(name):06d}-1",
                    "protocol": protocol,
                    "intent": INTENT.name,
                    "owner": owner,
                    "quota_group": name.split("/")[1],
                    "state": ExperimentState.FINISHED if finished else ExperimentState.ENQUEUED,
                    "status": status,
                    "cause": _cause(status),
                    "generation": int(finished),
                    "workflow": f"{identity}/run/1" if finished else "",
                    "created": created,
                    "started": started if finished else None,
                    "finished": None if took is None else started + took,
                    "config": ExperimentConfig(intent=INTENT, parameters={"values": {"tower/width_1": draw.randint(16, 512)}}),
                    "result": result,
                    "duration_seconds": None if took is None else took.total_seconds(),
                    "models_trained": None if result is None else result.models_trained,
                }
            )
    return registrations, rows


def _cause(status: ExperimentStatus | None) -> str:
    if status is None:
        return ""
    return {
        ExperimentStatus.USER_ERROR: "plan.py, line 12: there is no column 'clikced'. Did you mean 'clicked'? (step initialise)",
        ExperimentStatus.SYSTEM_ERROR: "the worker died three times. (step train_candidate)",
        ExperimentStatus.DEADLINE_EXCEEDED: "It did not finish in time.",
        ExperimentStatus.CANCELED: "Canceled by user-001.",
    }.get(status, "auc at least 0.5% larger: gain between +0.1% and +0.9% at 95% confidence, needed +0.5%.")


def _result(identity: str, satisfied: bool, draw: random.Random) -> ExperimentResult:
    gain = draw.uniform(0.006, 0.03) if satisfied else draw.uniform(-0.02, 0.004)
    estimates = {
        "auc": _estimate("auc", 0.7, gain, 0.0005),
        "model_bytes": _estimate("model_bytes", 1e6, 0.1, 0.0),
        "inference_seconds": _estimate("inference_seconds", 0.002, 0.05, 0.02),
    }
    return ExperimentResult(
        baseline=f"{identity}-b",
        candidate=f"{identity}-c",
        verdict=Verdict.of(INTENT, estimates),
        models_trained=draw.randint(1, 12),
        baseline_metrics={name: e.baseline for name, e in estimates.items()},
        candidate_metrics={name: e.candidate for name, e in estimates.items()},
    )


def _estimate(metric: str, baseline: float, change: float, spread: float) -> Estimate:
    low, high = change - spread, change + spread
    return Estimate(
        metric=metric,
        baseline=baseline,
        candidate=baseline * (1 + change),
        low=baseline * low,
        high=baseline * high,
        relative_low=low,
        relative_high=high,
        confidence=0.95,
        method="paired bootstrap over 28,618 examples, 1,000 resamples",
    )


def _study(number: int, size: int) -> dict[str, Any]:
    spec = StudySpec(
        id=f"s-{number:06d}",
        name=f"study-{number:06d}",
        space=SPACE,
        objectives=(Objective(metric="auc", better=Expectation.LARGER),),
        entry="models.train:train",
        trials=size,
        workers=8,
    )
    began = FIRST + number * timedelta(hours=8)
    return {
        "id": spec.id,
        "name": spec.name,
        "state": StudyState.FINISHED,
        "reason": f"All {size} trials have ended.",
        "created": began,
        "started": began,
        "ended": began + timedelta(hours=6),
        "spec": spec,
    }


def _trials(number: int, size: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    began = FIRST + number * timedelta(hours=8)
    for n in range(size):
        at = began + timedelta(seconds=20 * n)
        width = draw.randint(16, 512)
        stopped = n % 3 == 0
        trial = Trial(
            study=f"s-{number:06d}",
            number=n,
            config={"rate": 10 ** draw.uniform(-4, -1), "width": width, "dropout": draw.uniform(0, 0.6)},
            state=RunState.STOPPED if stopped else RunState.SUCCEEDED,
            metrics={"auc": 0.6 + 0.1 * draw.random(), "train_cpu_seconds": width / 10},
            reason="its best by step 3, 0.61, is worse than the median of 12 trials' averages" if stopped else "",
            created=at,
            started=at,
            ended=at + timedelta(seconds=60),
        )
        yield {"study": trial.study, "number": n, "state": trial.state, "document": trial}


def _copy(database: Database, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """All of `rows`, which have the same keys."""
    found = iter(rows)
    with database.transaction() as tx:
        dialect = tx.connection.dialect
        while chunk := list(islice(found, 20_000)):
            if database.is_sqlite:
                tx.connection.execute(sa.insert(table), chunk)
                continue
            names = list(chunk[0])
            bind = [table.c[name].type.bind_processor(dialect) or (lambda value: value) for name in names]
            columns = ", ".join(f'"{name}"' for name in names)
            cursor = tx.connection.connection.cursor()
            with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
                for row in chunk:
                    copy.write_row([process(row[name]) for process, name in zip(bind, names, strict=True)])
