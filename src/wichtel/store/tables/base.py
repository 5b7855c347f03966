"""What the tables share: their metadata, the kinds of their columns, how they refer to one another."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: Ids and names: sorted by code point on both databases, so that pages come in one order and an index finds a prefix.
Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def required(name: str, kind: Any, *args: Any, **options: Any) -> sa.Column[Any]:
    """A column that is never null."""
    return sa.Column(name, kind, *args, nullable=False, **options)


def refers(target: str) -> sa.ForeignKey:
    """A reference to another table's column, checked at commit."""
    return sa.ForeignKey(target, deferrable=True, initially="DEFERRED")


def counted() -> sa.Column[Any]:
    """A key that the database counts up. SQLite counts only keys of type INTEGER, which hold 64 bits there."""
    return sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True)
