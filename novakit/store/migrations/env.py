"""Alembic's entry: it is always handed a connection by `novakit.store.migrate`."""

from alembic import context

from novakit.store import tables  # noqa: F401
from novakit.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    user_module_prefix="schema.",
)
with context.begin_transaction():
    context.run_migrations()
