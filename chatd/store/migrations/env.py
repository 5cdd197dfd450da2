"""Alembic's entry: run the migrations on the engine that chatd gives (see chatd.store.migrate)."""

from alembic import context

from chatd.store.engine import backend_of
from chatd.store.schema import metadata

with context.config.attributes["engine"].connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        backend_of(connection).lift_limits(connection)
        context.run_migrations()
    connection.commit()
