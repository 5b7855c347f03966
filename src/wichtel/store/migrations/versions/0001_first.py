"""The first tables. Written with plain types: what the code calls them may change, what this revision made may not."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("action", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_principal"), "audit", ["principal"])
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"])
    op.create_table(
        "datasets",
        sa.Column("name", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("time_column", sa.Text(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("start", TIME, nullable=False),
        sa.Column("end", TIME, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "events",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_subject_number"), "events", ["subject", "number"])
    op.create_table(
        "intents",
        sa.Column("name", KEY, nullable=False),
        sa.Column("models", KEY, nullable=False),
        sa.Column("primary", sa.Text(), nullable=False),
        sa.Column("help", sa.Text(), nullable=False),
        sa.Column("constraints", sa.Text(), nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", "models", name=op.f("pk_intents")),
    )
    op.create_table(
        "leases",
        sa.Column("name", KEY, nullable=False),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "models",
        sa.Column("name", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("team", KEY, nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_index(op.f("ix_models_owner"), "models", ["owner"])
    op.create_table(
        "principals",
        sa.Column("name", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("team", KEY, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_principals")),
    )
    op.create_table(
        "quota_groups",
        sa.Column("name", KEY, nullable=False),
        sa.Column("max_in_progress", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_quota_groups")),
    )
    op.create_table(
        "registrations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("canceled", TIME, nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
    )
    op.create_index(op.f("ix_registrations_owner"), "registrations", ["owner"])
    op.create_table(
        "replicas",
        sa.Column("id", KEY, nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("beat", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
    )
    op.create_index(op.f("ix_replicas_beat"), "replicas", ["beat"])
    op.create_table(
        "runs",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_owner_number"), "runs", ["owner", "number"])
    op.create_index(op.f("ix_runs_state_priority_number"), "runs", ["state", "priority", "number"])
    op.create_table(
        "studies",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("name", name=op.f("uq_studies_name")),
    )
    op.create_index(op.f("ix_studies_state_created"), "studies", ["state", "created"])
    op.create_table(
        "experiments",
        sa.Column("id", KEY, nullable=False),
        sa.Column("registration", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("protocol", KEY, nullable=False),
        sa.Column("intent", KEY, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("quota_group", KEY, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("workflow", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("finished", TIME, nullable=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model"], ["models.name"], name=op.f("fk_experiments_model_models"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["registration"],
            ["registrations.id"],
            name=op.f("fk_experiments_registration_registrations"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
    )
    op.create_index(op.f("ix_experiments_created_id"), "experiments", ["created", "id"])
    op.create_index(op.f("ix_experiments_intent_created_id"), "experiments", ["intent", "created", "id"])
    op.create_index(op.f("ix_experiments_model_created_id"), "experiments", ["model", "created", "id"])
    op.create_index(op.f("ix_experiments_owner_created_id"), "experiments", ["owner", "created", "id"])
    op.create_index(op.f("ix_experiments_protocol_created_id"), "experiments", ["protocol", "created", "id"])
    op.create_index(op.f("ix_experiments_registration"), "experiments", ["registration"])
    op.create_index(op.f("ix_experiments_state_quota_group_created_id"), "experiments", ["state", "quota_group", "created", "id"])
    op.create_index(op.f("ix_experiments_status_created_id"), "experiments", ["status", "created", "id"])
    op.create_table(
        "cancellations",
        sa.Column("run", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_cancellations_run_runs"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_cancellations")),
    )
    op.create_table(
        "measurements",
        sa.Column("run", KEY, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_measurements_run_runs"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("run", "step", "attempt", name=op.f("pk_measurements")),
    )
    op.create_table(
        "tokens",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires", TIME, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["principal"], ["principals.name"], name=op.f("fk_tokens_principal_principals"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_principal"), "tokens", ["principal"])
    op.create_table(
        "trials",
        sa.Column("study", KEY, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_trials_study_studies"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("pk_trials")),
    )
    op.create_table(
        "versions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("tree", sa.Text(), nullable=False),
        sa.Column("parent", KEY, nullable=True),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("experiment", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("analysis", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_versions_model_models"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
    )
    op.create_index(op.f("ix_versions_experiment"), "versions", ["experiment"])
    op.create_index(op.f("ix_versions_model_created"), "versions", ["model", "created"])
