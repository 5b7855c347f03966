"""Bringing a database up to date. Alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from wichtel.domain import DatabaseTooNew

_MIGRATIONS = Path(__file__).parent / "migrations"
#: ``0001`` and so on, the first part of the file's name.
REVISIONS = tuple(sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")))
HEAD = REVISIONS[-1]
#: Any number that nothing else uses for its advisory lock.
_LOCK = 0x57_49_43_48_54_45_4D


def revision(connection: sa.Connection) -> str | None:
    """The revision of the tables; None if there are none.

    Raises:
        DatabaseTooNew: this version does not know it.
    """
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found is not None and found not in REVISIONS:
        raise DatabaseTooNew(
            f"a newer Wichtel wrote this database (its revision is {found}, the newest known here {HEAD}).",
            where=connection.engine.url.render_as_string(hide_password=True),
            hint="Install the newer version, or open another database.",
        )
    return found


def upgrade(connection: sa.Connection) -> None:
    """Bring the tables to `HEAD`, in the transaction of `connection`.

    Raises:
        DatabaseTooNew: this version does not know the revision.
    """
    if connection.dialect.name == "postgresql":
        # Several replicas may start at once; on SQLite the transaction keeps the others out.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if revision(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
