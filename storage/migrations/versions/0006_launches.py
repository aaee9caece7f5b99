"""Launches: who was asked, and where, to start workers of a study, and how many are wanted now."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
CREATE TABLE optselect.launch (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  study_id    bigint NOT NULL REFERENCES optselect.study ON DELETE CASCADE,
  executor    text NOT NULL CHECK (executor IN ('local', 'slurm', 'kubernetes', 'ray')),
  external_id text,                      -- the engine's own name of it; null: it was not accepted
  host        text NOT NULL,             -- from where it was launched
  workers     int NOT NULL,              -- wanted; who supervises them reads it
  settings    jsonb NOT NULL,            -- all that starting, scaling and reading logs needs; no password
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at    timestamptz
)""")
    op.execute("CREATE INDEX ON optselect.launch (study_id)")


def downgrade() -> None:
    op.execute("DROP TABLE optselect.launch")
