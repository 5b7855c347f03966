"""Intents: those that are built in, and those that somebody put."""

from __future__ import annotations

import builtins

import sqlalchemy as sa

from wichtel.domain import BUILT_IN_INTENTS, AlreadyExists, Intent, NotFound, did_you_mean
from wichtel.store.repository import Repository
from wichtel.store.tables import intents

_BUILT_IN = {(intent.name, intent.models) for intent in BUILT_IN_INTENTS}

_COLUMNS = tuple(intents.c[name] for name in ("name", "models", "primary", "help", "constraints"))


class Intents(Repository):
    """Intents, by name and the pattern of models that they are for."""

    def put(self, intent: Intent, owner: str) -> None:
        """Add `intent`, or replace the one of its name and pattern.

        Raises:
            AlreadyExists: that one is built in.
        """
        if (intent.name, intent.models) in _BUILT_IN:
            raise AlreadyExists(
                f"intent {intent.name!r} is built in.",
                hint="Put one of that name for a narrower pattern of models, or choose another name.",
            )
        row = {column.name: getattr(intent, column.name, None) for column in intents.columns}
        self.upsert(intents, row | {"owner": owner, "created": self.now}, keep=["created"])

    def list(self) -> list[Intent]:
        """All, the built-in ones first, then in the order of names and patterns."""
        query = sa.select(*_COLUMNS).order_by(intents.c.name, intents.c.models)
        return [*BUILT_IN_INTENTS, *(Intent(**row._mapping) for row in self.connection.execute(query))]

    def by_name_and_pattern(self) -> builtins.dict[tuple[str, str], Intent]:
        """All, as `wichtel.domain.choose_intent` wants them."""
        return {(intent.name, intent.models): intent for intent in self.list()}

    def owner(self, name: str, models: str) -> str | None:
        """Who put the one of that name and pattern; None if nobody did."""
        query = sa.select(intents.c.owner).where(intents.c.name == name, intents.c.models == models)
        return self.connection.execute(query).scalar_one_or_none()

    def owners(self) -> builtins.dict[tuple[str, str], str]:
        """Name and pattern → who put it."""
        rows = self.connection.execute(sa.select(intents.c.name, intents.c.models, intents.c.owner))
        return {(row.name, row.models): row.owner for row in rows}

    def delete(self, name: str, models: str = "*") -> None:
        """Forget the intent of that name and pattern; experiments that have it keep it.

        Raises:
            AlreadyExists: it is built in and stays.
            NotFound: there is none.
        """
        if (name, models) in _BUILT_IN:
            raise AlreadyExists(f"intent {name!r} is built in and stays.")
        done = self.connection.execute(sa.delete(intents).where(intents.c.name == name, intents.c.models == models))
        if not done.rowcount:
            known = [f"{n} for {m}" for n, m in self.by_name_and_pattern()]
            raise NotFound(f"there is no intent {name!r} for models {models!r}.", hint=did_you_mean(f"{name} for {models}", known))
