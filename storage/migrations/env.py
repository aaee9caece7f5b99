"""How does Alembic run our revisions? On the connection that schema/initialise.py hands over, in its transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="optselect",  # Optuna and MLflow own an alembic_version each, in places of their own
)
with context.begin_transaction():
    context.run_migrations()
