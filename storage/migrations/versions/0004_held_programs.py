"""What a claim must know of the other workers: for which optimizers each holds a compiled program."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE optselect.worker ADD programs text[] NOT NULL DEFAULT '{}'  -- as of its last claim"
    )
    op.execute("CREATE INDEX ticket_free ON optselect.ticket (study_id, ord) WHERE state = 'free'")
    op.execute("CREATE INDEX ticket_leased ON optselect.ticket (study_id) WHERE state = 'leased'")


def downgrade() -> None:
    op.execute("DROP INDEX optselect.ticket_free")
    op.execute("DROP INDEX optselect.ticket_leased")
    op.execute("ALTER TABLE optselect.worker DROP programs")
