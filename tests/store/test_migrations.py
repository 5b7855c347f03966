import re

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from wichtel.domain import DatabaseTooNew, SystemFault
from wichtel.store import Database, schema
from wichtel.store.tables import metadata

# An index of an expression, which Alembic cannot compare; the next test does.
_TRIGRAMS = "ix_experiments_trigrams"


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_upgrading_an_empty_database_makes_the_tables_that_the_code_expects(database):
    with database.read() as tx:
        options = {"compare_type": True, "compare_server_default": True, "include_object": lambda _, name, *rest: name != _TRIGRAMS}
        context = MigrationContext.configure(tx.connection, opts=options)
        assert compare_metadata(context, metadata) == []
        assert schema.revision(tx.connection) == schema.HEAD


_SCHEMA = {
    "sqlite": ["SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"],
    "postgresql": [
        "SELECT table_name || '.' || column_name, concat_ws(' ', data_type, collation_name, is_nullable, column_default, is_identity)"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    ],
}


def test_the_schema_is_the_same_by_either_way_also_where_the_comparison_does_not_look(database, tmp_path, request):
    """Collations, deferred keys and counted-up keys."""

    def schema_of(engine):
        with engine.connect() as connection:
            found = [row for query in _SCHEMA[engine.dialect.name] for row in connection.exec_driver_sql(query)]
        # The clauses of a table may stand in any order.
        return {name: sorted(re.split(r"[ ,()]+", " ".join(sql.split()))) for name, sql in found if not name.startswith("alembic")}

    url = f"sqlite:///{tmp_path}/made.db" if database.is_sqlite else request.getfixturevalue("postgres_url")
    made = Database.open(url)
    with made.transaction() as tx:
        metadata.create_all(tx.connection)
    assert len(schema_of(made.engine)) > 30
    assert schema_of(database.engine) == schema_of(made.engine)
    made.close()


def test_revisions_are_one_line_and_the_names_of_their_files_say_so():
    config = Config()
    config.set_main_option("script_location", str(schema._MIGRATIONS))
    line = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(line)) == schema.REVISIONS


def test_upgrading_twice_changes_nothing(database):
    with database.transaction() as tx:
        tx.audit.add("me", "upgraded", "database")
    database.upgrade()
    database.check()
    with database.read() as tx:
        assert len(tx.audit.list()) == 1


def test_a_newer_database_is_left_alone(database, database_url):
    with database.transaction() as tx:
        tx.connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        tx.connection.execute(sa.text("UPDATE compatibility SET oldest = '9998'"))
    for refused in (database.upgrade, database.check, lambda: Database.open(database_url, upgrade=True)):
        with pytest.raises(DatabaseTooNew, match="9999") as error:
            refused()
        assert "newer version" in error.value.hint


def test_an_empty_database_says_what_to_do(postgres_url, tmp_path):
    for url in (postgres_url, f"sqlite:///{tmp_path}/new.db"):
        database = Database.open(url)
        with pytest.raises(SystemFault, match="wichtel db upgrade"):
            database.check()
        with pytest.raises(SystemFault, match="wichtel db upgrade"), database.read() as tx:
            tx.models.list()
        database.close()
