"""Models, their versions, and the datasets they learn from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wichtel.domain import AlreadyExists, Dataset, Model, ModelVersion
from wichtel.store.page import Page, Stage, fetch
from wichtel.store.repository import Repository
from wichtel.store.tables import datasets, models, versions


class Models(Repository):
    """Registered models, by name."""

    def add(self, model: Model) -> None:
        """Add `model`.

        Raises:
            AlreadyExists: the name is taken.
        """
        row = {column.name: getattr(model, column.name) for column in models.columns}
        if not self.insert(models, row):
            raise AlreadyExists(f"there is a model {model.name!r} already.", hint="Add a version to it, or choose another name.")

    def find(self, name: str) -> Model | None:
        """The model of that name, if there is one."""
        row = self.connection.execute(sa.select(models).where(models.c.name == name)).one_or_none()
        return None if row is None else Model(**row._mapping)

    def get(self, name: str) -> Model:
        """The model of that name.

        Raises:
            NotFound: there is none.
        """
        model = self.find(name)
        if model is None:
            raise self.not_found("model", name, models.c.name)
        return model

    def many(self, names: Sequence[str]) -> dict[str, Model]:
        """Those of these names, by name.

        Raises:
            NotFound: there is no model of one of them.
        """
        query = sa.select(models).where(models.c.name.in_(names))
        found = {row.name: Model(**row._mapping) for row in self.connection.execute(query)}
        for name in names:
            if name not in found:
                raise self.not_found("model", name, models.c.name)
        return found

    def list(
        self,
        *,
        owner: str | None = None,
        contains: str | None = None,
        team: str | None = None,
        archived: bool = True,
        limit: int = 100,
        after: str | None = None,
    ) -> list[Model]:
        """In the order of names, from the first name after `after`; with `contains` in the name, whatever its case.

        Args:
            owner: Whose they are.
            contains: A part of the name; with a ``*``, which stands for anything, the whole.
            team: Which team's they are.
            archived: Whether those that are archived are among them.
            limit: At most so many.
            after: The name to go on after.
        """
        query = sa.select(models).order_by(models.c.name).limit(limit)
        if not archived:
            query = query.where(models.c.archived.is_(None))
        if owner is not None:
            query = query.where(models.c.owner == owner)
        if team is not None:
            query = query.where(models.c.team == team)
        if contains and "*" in contains:
            like = "%".join(part.replace("!", "!!").replace("%", "!%").replace("_", "!_") for part in contains.lower().split("*"))
            query = query.where(sa.func.lower(models.c.name).like(like, escape="!"))
        elif contains:
            query = query.where(models.c.name.icontains(contains, autoescape=True))
        if after is not None:
            query = query.where(models.c.name > after)
        return [Model(**row._mapping) for row in self.connection.execute(query)]

    def set_head(self, name: str, version: str) -> None:
        """Let experiments start from `version` from now on.

        Raises:
            NotFound: there is no such model.
        """
        done = self.connection.execute(sa.update(models).where(models.c.name == name).values(head=version))
        if not done.rowcount:
            raise self.not_found("model", name, models.c.name)

    def set_archived(self, name: str, since: datetime | None) -> None:
        """Put the model away, or, with None, fetch it back.

        Raises:
            NotFound: there is no such model.
        """
        done = self.connection.execute(sa.update(models).where(models.c.name == name).values(archived=since))
        if not done.rowcount:
            raise self.not_found("model", name, models.c.name)


class Versions(Repository):
    """Versions of models. Their ids are derived from what they are, so adding one twice adds it once."""

    def add(self, version: ModelVersion) -> bool:
        """Add `version`; False if it is there already."""
        row = {column.name: getattr(version, column.name) for column in versions.columns}
        return bool(self.insert(versions, row))

    def find(self, version_id: str) -> ModelVersion | None:
        """The version of that id, if there is one."""
        row = self.connection.execute(sa.select(versions).where(versions.c.id == version_id)).one_or_none()
        return None if row is None else ModelVersion(**row._mapping)

    def get(self, version_id: str) -> ModelVersion:
        """The version of that id.

        Raises:
            NotFound: there is none.
        """
        version = self.find(version_id)
        if version is None:
            raise self.not_found("model version", version_id, versions.c.id)
        return version

    def many(self, version_ids: Collection[str]) -> dict[str, ModelVersion]:
        """Those of these ids, by id; those that are not there are left out."""
        query = sa.select(versions).where(versions.c.id.in_(list(version_ids)))
        return {row.id: ModelVersion(**row._mapping) for row in self.connection.execute(query)}

    def list(self, model: str) -> list[ModelVersion]:
        """Those of `model`, oldest first."""
        query = sa.select(versions).where(versions.c.model == model).order_by(versions.c.created, versions.c.id)
        return [ModelVersion(**row._mapping) for row in self.connection.execute(query)]

    def page(self, model: str, *, limit: int = 100, cursor: str | None = None) -> Page[ModelVersion]:
        """The same, page by page.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        return self._page(model, limit=limit, cursor=cursor, descending=False)

    def newest(self, model: str, *, limit: int = 100, cursor: str | None = None) -> Page[ModelVersion]:
        """The same, newest first.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        return self._page(model, limit=limit, cursor=cursor, descending=True)

    def _page(self, model: str, *, limit: int, cursor: str | None, descending: bool) -> Page[ModelVersion]:
        stage = Stage(sa.select(versions).where(versions.c.model == model), (versions.c.created, versions.c.id), descending)
        name = "newest" if descending else ""
        return fetch(self.connection, [stage], lambda row: ModelVersion(**row._mapping), limit=limit, cursor=cursor, name=name)

    def counts(self, names: Collection[str]) -> dict[str, int]:
        """Model → how many versions it has, of these."""
        query = sa.select(versions.c.model, sa.func.count()).where(versions.c.model.in_(list(names))).group_by(versions.c.model)
        return {model: number for model, number in self.connection.execute(query)}  # noqa: C416 -- rows are no pairs to mypy

    def of_heads(self) -> dict[str, str]:
        """Model → its head, of all that are not archived."""
        query = sa.select(models.c.name, models.c.head).where(models.c.archived.is_(None))
        return {model: head for model, head in self.connection.execute(query)}  # noqa: C416 -- rows are no pairs to mypy

    def datasets_of(self, identities: Collection[str]) -> dict[str, str]:
        """Version → the dataset that it learns from, of these. Of each its whole analysis is read, so ask once: it does not change."""
        place = sa.func.instr if self.connection.dialect.name == "sqlite" else sa.func.strpos
        text = sa.type_coerce(versions.c.analysis, sa.Text)
        rest = sa.func.substr(text, place(text, _DATASET) + len(_DATASET), 256)
        query = sa.select(versions.c.id, sa.func.substr(rest, 1, place(rest, '"') - 1))
        found: dict[str, str] = {}
        wanted = list(identities)
        for at in range(0, len(wanted), _AT_ONCE):
            found |= {v: d for v, d in self.connection.execute(query.where(versions.c.id.in_(wanted[at : at + _AT_ONCE])))}  # noqa: C416
        return found


#: Ids in one query.
_AT_ONCE = 1000
#: Before a dataset's name in the text of an analysis, behind the last of what a user may have written.
_DATASET = '}},"job":{"dataset":"'


class Datasets(Repository):
    """Registered datasets, by name."""

    def add(self, dataset: Dataset) -> None:
        """Add `dataset`.

        Raises:
            AlreadyExists: the name is taken.
        """
        row: dict[str, Any] = {column.name: getattr(dataset, column.name) for column in datasets.columns}
        if not self.insert(datasets, row):
            raise AlreadyExists(f"there is a dataset {dataset.name!r} already.", hint="Choose another name.")

    def find(self, name: str) -> Dataset | None:
        """The dataset of that name, if there is one."""
        row = self.connection.execute(sa.select(datasets).where(datasets.c.name == name)).one_or_none()
        return None if row is None else Dataset(**row._mapping)

    def get(self, name: str) -> Dataset:
        """The dataset of that name.

        Raises:
            NotFound: there is none.
        """
        dataset = self.find(name)
        if dataset is None:
            raise self.not_found("dataset", name, datasets.c.name)
        return dataset

    def list(self) -> list[Dataset]:
        """All, in the order of names."""
        return [Dataset(**row._mapping) for row in self.connection.execute(sa.select(datasets).order_by(datasets.c.name))]

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Dataset]:
        """The same, page by page.

        Raises:
            InvalidInput: a limit out of range, or something that is no cursor.
        """
        by_name = Stage(sa.select(datasets), (datasets.c.name,))
        return fetch(self.connection, [by_name], lambda row: Dataset(**row._mapping), limit=limit, cursor=cursor)
