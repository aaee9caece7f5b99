"""What a worker and its machine use: for `status`, and for MLflow's system metrics."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE optselect.worker ADD usage jsonb NOT NULL DEFAULT '{}'  -- as of a beat some seconds ago"
    )
    op.execute(
        "ALTER TABLE optselect.epoch_log ADD system jsonb  -- no part of the curve; null: not asked for"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE optselect.epoch_log DROP system")
    op.execute("ALTER TABLE optselect.worker DROP usage")
