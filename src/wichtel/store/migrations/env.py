"""How Alembic runs the revisions: in the transaction of the connection that `wichtel.store.schema` gives."""

from alembic import context

from wichtel.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
