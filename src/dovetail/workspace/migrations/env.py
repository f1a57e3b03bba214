"""How Alembic runs here: always over a connection that :mod:`dovetail.workspace.schema` gives."""

from alembic import context

from dovetail.workspace.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
