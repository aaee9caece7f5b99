"""What the phases of a study need: the part a ticket plays, its arguments where no sampler chooses, and decisions."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
ALTER TABLE optselect.ticket
  ADD role      text NOT NULL DEFAULT 'search'
                CHECK (role IN ('search', 'tuned', 'defaults', 'own')),
  ADD arguments jsonb                    -- Keras's arguments, given; null: the sampler chooses""")
    op.execute("""
ALTER TABLE optselect.study
  ADD decisions jsonb NOT NULL DEFAULT '[]'  -- what was decided between phases, in order, with its reasons""")
    op.execute("UPDATE optselect.ticket SET role = 'own', arguments = '{}' WHERE phase = 'baseline'")


def downgrade() -> None:
    op.execute("ALTER TABLE optselect.ticket DROP role, DROP arguments")
    op.execute("ALTER TABLE optselect.study DROP decisions")
