"""What does a worker's own trial cost Optuna's tables? One statement a write, where Optuna's ORM takes two to seventeen.

Each statement serves the common case only: a trial that is still open. Where it writes no row, the caller lets Optuna
do the same again its own way, and with it decide what is wrong.
"""

import copy
import json
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import TextClause, text

from optselect.storage.server.database import Begin

UPSERT_ATTRIBUTE = """
    INSERT INTO {table}(trial_id, key, value_json)
    SELECT trial_id, :key, :value FROM trials WHERE trial_id = :trial AND state IN ('RUNNING', 'WAITING')
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json RETURNING trial_id"""

USER_ATTRIBUTE = text(UPSERT_ATTRIBUTE.format(table="trial_user_attributes"))
SYSTEM_ATTRIBUTE = text(UPSERT_ATTRIBUTE.format(table="trial_system_attributes"))


def wrote_attribute(begin: Begin, statement: TextClause, trial_id: int, key: str, value: Any) -> bool:
    """Set an attribute of an open trial; False where there is none."""
    with begin() as connection:
        values = {"trial": trial_id, "key": key, "value": json.dumps(value)}
        return connection.execute(statement, values).first() is not None


INSERT_PARAM = text("""
    INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, :name, :value, :distribution FROM trials
     WHERE trial_id = :trial AND state IN ('RUNNING', 'WAITING')
    ON CONFLICT DO NOTHING RETURNING trial_id""")


def wrote_param(
    begin: Begin,
    trial_id: int,
    name: str,
    value: float,
    distribution: BaseDistribution,
    previous: BaseDistribution,
) -> bool:
    """Set a parameter of an open trial that has none of that name; False where that is not so.

    Raises ValueError where the study's trials have another kind of distribution.
    """
    check_distribution_compatibility(previous, distribution)
    values = {"trial": trial_id, "name": name, "value": value}
    values["distribution"] = distribution_to_json(distribution)
    with begin() as connection:
        return connection.execute(INSERT_PARAM, values).first() is not None


# Two statements: the second must see what whoever held the lock before has written.
LOCK_STUDY = text("SELECT study_id FROM studies WHERE study_id = :study FOR UPDATE")

INSERT_TRIAL = text("""
    WITH new AS (
      INSERT INTO trials(study_id, number, state, datetime_start)
      SELECT :study, coalesce((SELECT number + 1 FROM trials WHERE study_id = :study ORDER BY trial_id DESC LIMIT 1), 0),
             'RUNNING', :start
      RETURNING trial_id, number),
    user_marks AS (
      INSERT INTO trial_user_attributes(trial_id, key, value_json)
      SELECT trial_id, key, value FROM new, json_each_text(CAST(:user AS json))),
    system_marks AS (
      INSERT INTO trial_system_attributes(trial_id, key, value_json)
      SELECT trial_id, key, value FROM new, json_each_text(CAST(:system AS json)))
    SELECT trial_id, number FROM new""")


def is_bare(template: FrozenTrial | None) -> bool:
    """Whether a trial to be created is a running one with attributes and nothing else."""
    if template is None or template.state is not TrialState.RUNNING or template.datetime_complete is not None:
        return False
    return not (template.values or template.params or template.intermediate_values)


def create_trial(begin: Begin, study_id: int, template: FrozenTrial) -> FrozenTrial | None:
    """Create a trial with the attributes of a bare template; None where there is no such study."""
    start = template.datetime_start
    values = {
        "study": study_id,
        "start": None if start is None else utc(start),
        "user": written(template.user_attrs),
        "system": written(template.system_attrs),
    }
    with begin() as connection:
        if connection.execute(LOCK_STUDY, {"study": study_id}).first() is None:
            return None
        trial_id, number = connection.execute(INSERT_TRIAL, values).one()
    created = copy.deepcopy(template)
    created._trial_id, created.number = trial_id, number
    return created


def written(attributes: dict[str, Any]) -> str:
    """Attributes as an object of JSON texts, as Optuna keeps each of them."""
    return json.dumps({key: json.dumps(value) for key, value in attributes.items()})


def utc(local: datetime) -> datetime:
    """Optuna stores UTC without a zone."""
    return local.astimezone(UTC).replace(tzinfo=None)
