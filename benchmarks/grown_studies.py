"""A study of ten thousand trials without training them: its finished trials again and again, row by row.

What is grown are the rows that workers have really written, so that reading them costs what it would cost.
"""

from sqlalchemy import Connection, Engine, text

COPIES = """
    CREATE TEMP TABLE copy ON COMMIT DROP AS
    SELECT trial_id AS old, nextval('{schema}.trials_trial_id_seq')::int AS new,
           row_number() OVER (ORDER BY again, trial_id) - 1 + (SELECT count(*) FROM {schema}.trials WHERE study_id = :study)
           AS number
      FROM {schema}.trials, generate_series(1, :times) AS again
     WHERE study_id = :study AND state <> 'RUNNING' ORDER BY again, trial_id LIMIT :missing"""

TRIALS = """
    INSERT INTO {schema}.trials(trial_id, number, study_id, state, datetime_start, datetime_complete)
    SELECT new, copy.number, study_id, state, datetime_start, datetime_complete
      FROM copy JOIN {schema}.trials ON trial_id = old"""

PARTS = {
    "trial_params": "param_name, param_value, distribution_json",
    "trial_values": "objective, value, value_type",
    "trial_user_attributes": "key, value_json",
    "trial_system_attributes": "key, value_json",
    "trial_intermediate_values": "step, intermediate_value, intermediate_value_type",
}

TICKETS = """
    INSERT INTO ticket(study_id, ord, state, attempt, phase, optimizer, seed, fixed_params, role, params, trial_id,
                       trial_number, trial_value, epochs, outcome, result, started_at, finished_at)
    SELECT study_id, 1000000 + copy.number, state, attempt, phase, optimizer, seed, fixed_params, role, params, new,
           copy.number, trial_value, epochs, outcome, result, started_at, finished_at
      FROM copy JOIN ticket ON trial_id = old"""

CURVES = """
    INSERT INTO epoch_log(ticket_id, epoch, ts_ms, metrics)
    SELECT made.id, epoch, ts_ms, metrics
      FROM copy JOIN ticket made ON made.trial_id = new JOIN ticket known ON known.trial_id = old
      JOIN epoch_log ON epoch_log.ticket_id = known.id"""


def grow(engine: Engine, optuna_study_id: int, trials: int, schema: str, *, with_tickets: bool) -> None:
    """Copy the finished trials of a study until it has so many."""
    with engine.begin() as connection:
        present = count(connection, optuna_study_id, schema)
        values = {"study": optuna_study_id, "missing": trials - present, "times": trials // present + 1}
        connection.execute(text(COPIES.format(schema=schema)), values)
        connection.execute(text(TRIALS.format(schema=schema)))
        for table, columns in PARTS.items():
            connection.execute(
                text(
                    f"INSERT INTO {schema}.{table}(trial_id, {columns})"
                    f" SELECT new, {columns} FROM copy JOIN {schema}.{table} ON trial_id = old"
                )
            )
        if with_tickets:
            connection.execute(text(TICKETS))
            connection.execute(text(CURVES))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def count(connection: Connection, optuna_study_id: int, schema: str) -> int:
    statement = text(f"SELECT count(*) FROM {schema}.trials WHERE study_id = :study AND state <> 'RUNNING'")
    return int(connection.execute(statement, {"study": optuna_study_id}).scalar_one())
