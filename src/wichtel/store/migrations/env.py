"""How Alembic runs the revisions: in the transaction of the connection that `wichtel.store.schema` gives."""

from alembic import context
from alembic.operations import Operations, ops, toimpl

from wichtel.store.tables import metadata

# Tables whose indexes are made afterwards, without keeping anybody from writing; see `wichtel.store.online`.
_later = context.config.attributes["indexed_later"]


@Operations.implementation_for(ops.CreateIndexOp, replace=True)
def _create_index(operations: Operations, operation: ops.CreateIndexOp) -> None:
    # One that forbids doubles has to be there when the revision is.
    if operation.table_name not in _later or operation.unique:
        toimpl.create_index(operations, operation)


context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
