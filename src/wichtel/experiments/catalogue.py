"""Datasets, intents and protocols: what models and registrations refer to by name."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from wichtel.domain import (
    BUILT_IN_INTENTS,
    AlreadyExists,
    Analysis,
    AppliedIntent,
    Dataset,
    ExperimentStatus,
    Intent,
    InvalidInput,
    Model,
    ModelVersion,
    NotFound,
    StorageFailed,
    WichtelError,
    applied_intents,
    check_name,
    choose_intent,
)
from wichtel.experiments.access import Principal
from wichtel.experiments.onboarding import Onboarding, onboardings
from wichtel.protocols import ProtocolInfo, get_protocol, protocols
from wichtel.store import Artifacts, Database, Page, Transaction
from wichtel.store.counts import Ending
from wichtel.training import ingest
from wichtel.workflows import Graph


class Datasets:
    """The registered datasets.

    Args:
        db: Where they live.
        artifacts: Where their examples live.
        folders: Whose files may be registered; with none, any that this process can read.
    """

    def __init__(self, db: Database, artifacts: Artifacts, *, folders: Sequence[str] = ()) -> None:
        self._db = db
        self._artifacts = artifacts
        self._folders = [Path(folder).resolve() for folder in folders]
        #: Head → the dataset that it learns from, as of the last look: asking for it means reading all of an analysis.
        self._learns: dict[str, str] = {}

    def add(
        self,
        name: str,
        files: Sequence[str],
        time_column: str,
        principal: Principal,
        *,
        also: Callable[[Transaction, Dataset], object] | None = None,
    ) -> Dataset:
        """Read `files` (Parquet or CSV, paths that the service can read), order them by time, and keep them as one Parquet file.

        Args:
            name: Such as ``flights``.
            files: The paths.
            time_column: The column with each example's time.
            principal: Who asks.
            also: Called in the transaction that registers the dataset.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: a file, the time column or a value is not right, or files are not read from there.
        """
        principal.permit("add_dataset")
        check_name(name, what="dataset")
        files = [self._allowed(file) for file in files]
        with self._db.read() as tx:
            now = tx.now
            if tx.datasets.find(name) is not None:
                raise AlreadyExists(f"there is a dataset {name!r} already.", hint="A dataset does not change; give new data a new name.")
        dataset = ingest(list(files), name=name, time_column=time_column, artifacts=self._artifacts, owner=principal.name, now=now)
        with self._db.transaction() as tx:
            tx.datasets.add(dataset)
            tx.audit.add(principal.name, "add_dataset", name, {"rows": dataset.rows, "digest": dataset.digest})
            if also is not None:
                also(tx, dataset)
        return dataset

    def _allowed(self, file: str) -> str:
        if not self._folders:
            return file
        try:
            # What a link leads to counts, and is what will be read.
            path = Path(file).resolve()
        except (OSError, ValueError):
            raise InvalidInput("there is no such file.", where=file) from None
        if not any(path.is_relative_to(folder) for folder in self._folders):
            known = ", ".join(map(str, self._folders))
            raise InvalidInput("files are not read from there.", where=file, hint=f"Put it into one of: {known} (setting dataset_folders).")
        return str(path)

    def get(self, name: str) -> Dataset:
        """One dataset.

        Raises:
            NotFound: there is none.
        """
        with self._db.read() as tx:
            return tx.datasets.get(name)

    def list(self, limit: int = 100, cursor: str | None = None) -> Page[Dataset]:
        """Datasets by name.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        with self._db.read() as tx:
            return tx.datasets.page(limit=limit, cursor=cursor)

    @property
    def folders(self) -> tuple[str, ...]:
        """Whose files may be registered; with none, any that this process can read."""
        return tuple(map(str, self._folders))

    def size(self, dataset: Dataset) -> int | None:
        """The bytes of its examples as they are kept; None if they cannot be found now."""
        try:
            return self._artifacts.size(dataset.digest)
        except (NotFound, StorageFailed):
            return None

    def used(self) -> dict[str, int]:
        """Dataset → how many models learn from it."""
        with self._db.read() as tx:
            return dict(Counter(dataset for _, _, dataset in self._heads(tx)))

    def models(self, name: str, limit: int = 100, after: str | None = None) -> builtins.list[ModelVersion]:
        """The heads that learn from a dataset, by the names of their models, from the first after `after`."""
        with self._db.read() as tx:
            heads = [head for model, head, dataset in self._heads(tx) if dataset == name and (after is None or model > after)]
            found = tx.versions.many(heads[:limit])
            return [found[head] for head in heads[:limit]]

    def _heads(self, tx: Transaction) -> builtins.list[tuple[str, str, str]]:
        """Model, head and dataset of all models that are not archived, by name."""
        known, heads = self._learns, tx.versions.of_heads()
        known = known | tx.versions.datasets_of([head for head in heads.values() if head not in known])
        self._learns = {head: known[head] for head in heads.values() if head in known}
        return [(model, head, known[head]) for model, head in sorted(heads.items()) if head in known]


class Intents:
    """The intents: built in, and those that users keep for models or classes of models."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, intent: Intent, principal: Principal) -> Intent:
        """Keep an intent under its name and pattern of models, in the place of an earlier one.

        Raises:
            InvalidInput: it would replace a built-in for all models.
            NotPermitted: the principal is no editor, or it would replace somebody else's.
        """
        principal.permit("put_intent")
        check_name(intent.name, what="intent")
        _refuse_built_in(intent.name, intent.models)
        with self._db.transaction() as tx:
            owner = tx.intents.owner(intent.name, intent.models)
            if owner is not None:
                principal.permit("change_intent", owner=owner)
            tx.intents.put(intent, owner or principal.name)
            tx.audit.add(principal.name, "put_intent", intent.name, {"models": intent.models})
        return intent

    def list(self) -> list[Intent]:
        """All of them, built-ins included."""
        with self._db.read() as tx:
            return tx.intents.list()

    def applied(self, model: str) -> builtins.list[AppliedIntent]:
        """For each name the one that applies to `model`, which need not be registered, and why this one."""
        return applied_intents(check_name(model, what="model"), self.list())

    def owners(self) -> dict[tuple[str, str], str]:
        """Name and pattern → whose it is, of those that are not built in."""
        with self._db.read() as tx:
            return tx.intents.owners()

    def find(self, name: str, models: str) -> Intent | None:
        """The one of that name and pattern of models, if there is one."""
        return next((i for i in self.list() if (i.name, i.models) == (name, models)), None)

    def get(self, name: str, model: str) -> Intent:
        """The one called `name` that applies to `model`.

        Raises:
            NotFound: there is none.
        """
        return choose_intent(name, model, {(i.name, i.models): i for i in self.list()})

    def delete(self, name: str, models: str, principal: Principal) -> None:
        """Forget an intent; registrations made with it keep their copy.

        Raises:
            NotFound: there is none.
            InvalidInput: it is built in.
            NotPermitted: it is somebody else's, and the principal is no admin.
        """
        principal.permit("put_intent")
        _refuse_built_in(name, models)
        with self._db.transaction() as tx:
            principal.permit("change_intent", owner=tx.intents.owner(name, models) or principal.name)
            tx.intents.delete(name, models)
            tx.audit.add(principal.name, "delete_intent", name, {"models": models})


def _refuse_built_in(name: str, models: str) -> None:
    if models == "*" and any(i.name == name for i in BUILT_IN_INTENTS):
        raise InvalidInput(
            f"intent {name!r} for all models is built in.", hint="Give it a name of its own, or a pattern of models such as 'ads/*'."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolHistory:
    """What came of a protocol."""

    #: Experiments there have been.
    all: int
    #: The newest of them, which the rest tells of.
    seen: int
    #: Status, or state of those that have not finished → how many of these.
    counts: dict[str, int]
    newest: datetime | None
    #: Of those with a verdict: a quarter was done by the first, half by the second, three quarters by the third.
    seconds: tuple[float, float, float] | None
    #: Trainings of those with a verdict, the median.
    trainings: float | None

    @property
    def judged(self) -> int:
        """How many came to a verdict."""
        return sum(self.counts.get(status, 0) for status in _VERDICTS)

    @property
    def satisfied(self) -> int:
        """How many met their constraints."""
        return self.counts.get(ExperimentStatus.SATISFIED, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a protocol can be launched on a model."""

    model: Model
    #: What the model lacks; None if nothing.
    lacks: WichtelError | None


class Protocols:
    """The installed protocols.

    Args:
        db: Where experiments live.
        graphs: Their steps, by their names.
    """

    def __init__(self, db: Database, graphs: Mapping[str, Graph]) -> None:
        self._db = db
        self._graphs = graphs

    def list(self) -> list[ProtocolInfo]:
        """All of them, by name."""
        return [protocol.info(self._graphs.get(name)) for name, protocol in protocols().items()]

    def get(self, name: str) -> ProtocolInfo:
        """One protocol.

        Raises:
            NotFound: there is none.
        """
        return get_protocol(name).info(self._graphs.get(name))

    def histories(self, names: Sequence[str], most: int = 500) -> dict[str, ProtocolHistory]:
        """Protocol → what came of its `most` newest experiments."""
        with self._db.read() as tx:
            all_ = tx.counts.by_protocol()
            latest = tx.counts.latest_of(names, most)
        return {name: _history(all_.get(name, 0), endings) for name, endings in latest.items()}

    def readiness(self, name: str, *, contains: str | None = None, limit: int = 100, after: str | None = None) -> builtins.list[Readiness]:
        """Whether each model, by name, can have the protocol launched on it; with `contains` in the name, from the first after `after`.

        Raises:
            NotFound: there is no such protocol.
        """
        protocol = get_protocol(name)
        with self._db.read() as tx:
            models = tx.models.list(contains=contains, archived=False, limit=limit, after=after)
            heads = tx.versions.many({model.head for model in models})
        return [Readiness(model=model, lacks=protocol.lacks(heads[model.head].analysis)) for model in models if model.head in heads]

    def onboarding(self, analysis: Analysis, files: Mapping[str, bytes], dataset: Dataset | None) -> builtins.list[Onboarding]:
        """What a model still needs for each protocol, and the lines that would do.

        Args:
            analysis: What was found in its plan.
            files: Its source.
            dataset: What it learns from, if that is known.
        """
        return onboardings(protocols().values(), analysis, files, dataset)


_VERDICTS = (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED)


def _history(number: int, endings: Sequence[Ending]) -> ProtocolHistory:
    judged = [ending for ending in endings if ending.standing in _VERDICTS]
    took = sorted(ending.seconds for ending in judged if ending.seconds is not None)
    trained = [ending.models_trained for ending in judged if ending.models_trained is not None]
    return ProtocolHistory(
        all=number,
        seen=len(endings),
        counts=dict(Counter(ending.standing for ending in endings)),
        newest=endings[0].created if endings else None,
        seconds=(took[len(took) // 4], took[len(took) // 2], took[3 * len(took) // 4]) if took else None,
        trainings=median(trained) if trained else None,
    )
