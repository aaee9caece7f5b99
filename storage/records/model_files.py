"""Where does the trained model of a finalist lie? As a file beside the checkpoints, only the best one of each finalist."""

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, text

from optselect.storage.records.checkpoint_files import read_file, remove_quietly, write_file
from optselect.storage.records.checkpoints import folder_for
from optselect.storage.records.studies import StoredStudy

log = logging.getLogger(__name__)

# Finals of earlier settings do not count: a study that goes on has new ones.
OTHERS = text("""
    SELECT other.id, other.params = own.params AS alike, other.trial_value AS value
      FROM ticket own JOIN ticket other
        ON other.study_id = own.study_id AND other.phase = 'final' AND other.optimizer = own.optimizer
       AND other.role = own.role AND other.id <> own.id
     WHERE own.id = :ticket""")


def keep_if_best(
    engine: Engine,
    folder: str,
    ticket: int,
    cost: Callable[[float], float],
    value: float,
    body: Callable[[], bytes],
) -> None:
    """Write the model of a final run that is the best of its finalist so far, in place of the one before.

    A model is no result: where it cannot be made or written, a warning says so and the trial goes on.
    """
    with engine.begin() as connection:
        others = connection.execute(OTHERS, {"ticket": ticket}).all()
    alike = [cost(other.value) for other in others if other.alike and other.value is not None]
    if alike and min(alike) <= cost(value):
        return
    try:
        write_file(folder, file_name(ticket), body())
    except Exception as error:  # noqa: BLE001  Keras raises anything where a layer of the user's cannot be saved
        log.warning("the trained model is not kept: %s", error)
        return
    for other in others:
        remove_quietly(folder, file_name(other.id))


def model_folder(study: StoredStudy, home: Path) -> str:
    """The study's folder, below which models lie in one of their own."""
    return folder_for(study, home)


def file_name(ticket: int) -> str:
    return f"models/ticket-{ticket}.keras"


def read_model(folder: str, ticket: int) -> bytes | None:
    """The file of a run's model; None where it was not kept, or on another machine."""
    try:
        return read_file(folder, file_name(ticket))
    except OSError:
        return None
