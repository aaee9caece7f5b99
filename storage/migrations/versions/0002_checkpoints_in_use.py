"""Checkpoints come into use: where a study keeps large ones, what they cost, why an attempt was lost."""

from alembic import op

revision = "0002"
down_revision = "0001"

UPGRADE = (
    "ALTER TABLE optselect.study ADD checkpoints text",  # folder or fsspec address; null: each machine's home
    "ALTER TABLE optselect.checkpoint ADD seconds double precision NOT NULL DEFAULT 0",  # trained until there
    "ALTER TABLE optselect.checkpoint DROP opt_phase",  # the snapshot itself says it
    "ALTER TABLE optselect.ticket ADD cause text",  # of the last attempt's loss, as far as it is known
    "ALTER TABLE optselect.worker ALTER study_id DROP NOT NULL",  # a supervisor may wait for any study
)

DOWNGRADE = (
    "DELETE FROM optselect.worker WHERE study_id IS NULL",
    "ALTER TABLE optselect.worker ALTER study_id SET NOT NULL",
    "ALTER TABLE optselect.ticket DROP cause",
    "ALTER TABLE optselect.checkpoint ADD opt_phase int",
    "ALTER TABLE optselect.checkpoint DROP seconds",
    "ALTER TABLE optselect.study DROP checkpoints",
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE:
        op.execute(statement)
