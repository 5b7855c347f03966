"""An index for free words."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TRIGRAMS = """
CREATE OR REPLACE FUNCTION wichtel_trigrams(VARIADIC texts text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 AS $$
SELECT coalesce(array_agg(DISTINCT substr(low, at, 3) COLLATE "C"), '{}')
FROM (SELECT lower(given COLLATE "C") AS low FROM unnest(texts) AS given) AS lowered, generate_series(1, length(low) - 2) AS at
$$
"""


def upgrade() -> None:
    """Make the function and the index, which only PostgreSQL has."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(TRIGRAMS)
        given = sa.text("wichtel_trigrams(id, model, protocol, owner, intent, cause)")
        op.create_index("ix_experiments_trigrams", "experiments", [given], postgresql_using="gin")
