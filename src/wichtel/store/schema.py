"""Bringing a database up to date, also while older replicas use it. Alembic is imported only when there is something to do.

Revisions expand: they add tables, columns and indexes that older code neither reads nor must write, so that replicas can be replaced one
after the other. Table `compatibility` says which is the oldest revision whose code can go on; a revision that takes something away raises
it, by a line ``oldest = "0012"`` in its file, and is shipped in a version after the one that ceased to use what it takes away.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from wichtel.domain import DatabaseTooNew

_MIGRATIONS = Path(__file__).parent / "migrations"
#: ``0001`` and so on, the first part of the file's name.
REVISIONS = tuple(sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")))
#: The revision that this code was written for.
HEAD = REVISIONS[-1]
#: Any number that nothing else uses for its advisory lock.
_LOCK = 0x57_49_43_48_54_45_4D


def revision(connection: sa.Connection) -> str | None:
    """The revision of the tables; None if there are none. It may be newer than `HEAD`, if the database says that this code can use it.

    Raises:
        DatabaseTooNew: this code cannot.
    """
    found = _current(connection)
    if found is None or found <= HEAD:
        return found
    oldest = oldest_code(connection)
    if oldest is None or oldest > HEAD:
        takes = f", for code of {oldest} or newer" if oldest else ""
        raise DatabaseTooNew(
            f"a newer Wichtel wrote this database (its revision is {found}{takes}; this code is of {HEAD}).",
            where=connection.engine.url.render_as_string(hide_password=True),
            hint="Install the newer version, or open another database.",
        )
    return found


def oldest_code(connection: sa.Connection) -> str | None:
    """The oldest revision whose code can use the database, as that says; None if it does not say."""
    if not sa.inspect(connection).has_table("compatibility"):
        return None
    found: str | None = connection.execute(sa.text("SELECT oldest FROM compatibility WHERE number = 1")).scalar_one_or_none()
    return found


def upgrade(connection: sa.Connection, *, step: bool = False) -> bool:
    """Bring the tables to `HEAD`, in the transaction of `connection`; False if they are there already.

    Args:
        step: Only to the next revision, and without the indexes of tables that hold rows already; see `wichtel.store.online`.

    Raises:
        DatabaseTooNew: this code cannot use it.
    """
    if connection.dialect.name == "postgresql":
        # Several replicas may start at once; on SQLite the transaction keeps the others out.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    before = revision(connection)
    if before is not None and before >= HEAD:
        return False
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    tables = frozenset(sa.inspect(connection).get_table_names()) if step else frozenset()
    config = Config(attributes={"connection": connection, "indexed_later": tables})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    goal = REVISIONS[0 if before is None else REVISIONS.index(before) + 1] if step else HEAD
    command.upgrade(config, goal)
    scripts = ScriptDirectory.from_config(config)
    oldest = max(getattr(scripts.get_revision(r).module, "oldest", REVISIONS[0]) for r in REVISIONS if r <= goal)
    if sa.inspect(connection).has_table("compatibility"):
        statement = "INSERT INTO compatibility (number, oldest) VALUES (1, :oldest) ON CONFLICT (number) DO UPDATE SET oldest = :oldest"
        connection.execute(sa.text(statement), {"oldest": oldest})
    return True


def _current(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found
