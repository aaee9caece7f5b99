"""The first tables: study, worker, ticket, checkpoint, epoch_log, outbox and meta.

All times are the server's, since the clocks of the workers may differ.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    """
CREATE TABLE optselect.meta (        -- versions that made the tables, and where MLflow's tables are
  key   text PRIMARY KEY,
  value text NOT NULL
)""",
    """
CREATE TABLE optselect.study (       -- all that `optselect resume NAME` needs
  id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name                 text NOT NULL UNIQUE,
  optuna_study_name    text NOT NULL,
  spec                 jsonb NOT NULL,
  spec_version         int NOT NULL,
  problem              jsonb NOT NULL,   -- its description: metrics, shapes, baseline
  bundle               jsonb NOT NULL,   -- {relative path: source text}
  bundle_sha256        text NOT NULL,
  data_hash            text NOT NULL,
  versions             jsonb NOT NULL,
  objective            text NOT NULL,
  direction            text NOT NULL CHECK (direction IN ('minimize', 'maximize')),
  budget               int NOT NULL,     -- search tickets
  state                text NOT NULL DEFAULT 'running'
                       CHECK (state IN ('running', 'paused', 'stopped', 'finished')),
  tracking_uri         text,             -- null: MLflow's tables beside ours
  mlflow_experiment_id text,
  created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at          timestamptz
)""",
    """
CREATE TABLE optselect.worker (
  id             uuid PRIMARY KEY,
  study_id       bigint NOT NULL REFERENCES optselect.study ON DELETE CASCADE,
  host           text,
  pid            int,
  boot_id        text,                   -- with host and pid it names one process for ever
  device         text,
  slot           int,
  state          text,
  stop_requested boolean NOT NULL DEFAULT false,
  started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  heartbeat_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  epoch_rate     real                    -- epochs a second
)""",
    "CREATE INDEX ON optselect.worker (study_id)",
    """
CREATE TABLE optselect.ticket (      -- one per budgeted trial
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  study_id      bigint NOT NULL REFERENCES optselect.study ON DELETE CASCADE,
  ord           int NOT NULL,
  state         text NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'leased', 'done')),
  attempt       int NOT NULL DEFAULT 0,
  max_attempts  int NOT NULL DEFAULT 3,
  restarts      int NOT NULL DEFAULT 0,  -- times begun again at epoch 1; a new MLflow run each
  worker_id     uuid,
  token         uuid,                    -- the fence: a write counts only with the present token
  lease_until   timestamptz,
  phase         text NOT NULL,           -- baseline, quota, elimination, survivors, final
  optimizer     text,
  seed          bigint NOT NULL,         -- of weights, row order, dropout
  fixed_params  jsonb,                   -- what the sampler must not choose
  params        jsonb,                   -- Keras's arguments as used, without a prefix
  trial_id      int UNIQUE,              -- Optuna's; no foreign key into Optuna's tables
  trial_number  int,
  trial_value   double precision,
  epochs        int NOT NULL DEFAULT 0,
  mlflow_run_id text,
  outcome       text CHECK (outcome IN ('complete', 'pruned', 'diverged', 'failed')),
  result        jsonb,
  error         text,
  started_at    timestamptz,
  finished_at   timestamptz,
  UNIQUE (study_id, ord)
)""",
    "CREATE INDEX ON optselect.ticket (study_id, ord) WHERE state <> 'done'",
    """
CREATE TABLE optselect.checkpoint (
  ticket_id  bigint NOT NULL REFERENCES optselect.ticket ON DELETE CASCADE,
  epoch      int NOT NULL,
  uri        text,
  bytes      bigint,
  sha256     text,
  opt_phase  int,                        -- 0 before the optimizer's switch, 1 after it
  body       bytea,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (ticket_id, epoch)
)""",
    # Weights do not compress: trying costs time only.
    "ALTER TABLE optselect.checkpoint ALTER body SET STORAGE EXTERNAL",
    """
CREATE TABLE optselect.epoch_log (   -- the truth for curves; epochs count from 1
  ticket_id bigint NOT NULL REFERENCES optselect.ticket ON DELETE CASCADE,
  epoch     int NOT NULL,
  ts_ms     bigint NOT NULL,             -- stamped once: MLflow tells a resent point by it
  metrics   jsonb NOT NULL,              -- not finite: the strings NaN, Infinity, -Infinity
  PRIMARY KEY (ticket_id, epoch)
)""",
    """
CREATE TABLE optselect.outbox (      -- what MLflow has seen; one row per ticket, made with it
  ticket_id    bigint PRIMARY KEY REFERENCES optselect.ticket ON DELETE CASCADE,
  mlflow_epoch int NOT NULL DEFAULT 0,
  finished     boolean NOT NULL DEFAULT false,
  superseded   jsonb NOT NULL DEFAULT '[]',  -- ids of runs that a restart left; to be closed
  next_try     timestamptz NOT NULL DEFAULT clock_timestamp(),
  error        text
)""",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    for table in ("outbox", "epoch_log", "checkpoint", "ticket", "worker", "study", "meta"):
        op.execute(f"DROP TABLE optselect.{table}")
