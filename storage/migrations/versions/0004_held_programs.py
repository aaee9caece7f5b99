"""What a claim must know of the other workers: for which optimizers each holds a compiled program."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE optselect.worker ADD programs text[] NOT NULL DEFAULT '{}'  -- as of its last claim"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE optselect.worker DROP programs")
