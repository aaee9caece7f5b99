"""How do Optuna's studies live in our database, and survive that it goes away for a while?

Stock Optuna loses results when its connection breaks: before `tell` the trial stays RUNNING for ever. Here each call
is repeated until the database is back. That is safe, since Optuna's writes are upserts or guarded: a lost `ask` leaves
an orphan for the reaper, a lost `tell` is recognised below. What is read and written
most is one statement each (reading.py, writing.py), in place of the ORM's many.
"""

import contextlib
import inspect
import logging
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from optselect.storage.errors import SchemaMismatch, Unreachable
from optselect.storage.optuna_tables.reading import SCHEMA_REVISION, read_trial, read_trials
from optselect.storage.optuna_tables.writing import (
    SYSTEM_ATTRIBUTE,
    USER_ATTRIBUTE,
    create_trial,
    is_bare,
    wrote_attribute,
    wrote_param,
)
from optselect.storage.server.database import (
    PATIENCE_SECONDS,
    Database,
    again,
    connect_arguments,
    in_schema,
    of_schema,
    one_line,
    pool_arguments,
    set_search_path,
)

log = logging.getLogger(__name__)

HAS_STUDY = text("SELECT EXISTS (SELECT FROM studies WHERE study_name = :name)")

Answer = TypeVar("Answer")


def optuna_storage(
    database: Database, *, engine: Engine | None = None, patience_seconds: float = PATIENCE_SECONDS
) -> "PatientStorage":
    """Open Optuna's storage in a database that initialise() has prepared; raises SchemaMismatch, Unreachable.

    Use one storage object per process and one thread per object: Optuna's cache holds its lock during a call.

    Args:
        engine: whose connections are used; None: connections of its own.
    """
    try:
        storage = PatientStorage(database, engine=engine, patience_seconds=patience_seconds)
        storage.demand_newest_tables()
        return storage
    except StorageInternalError as error:
        if isinstance(error.__cause__, ProgrammingError):
            raise SchemaMismatch("Optuna's tables are missing: run `optselect db upgrade`.") from error
        raise Unreachable(f"The database {database.masked} cannot be used: {one_line(error)}.") from error


class PatientStorage(RDBStorage):
    """Optuna's storage in schema `optuna`, which waits out a lost database."""

    def __init__(
        self,
        database: Database,
        *,
        engine: Engine | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        make_tables: bool = False,
    ) -> None:
        """Connect; the constructor does not wait, so that a wrong password fails at once."""
        self.database = database
        self._shared = engine
        self._part_of = threading.local()
        self.patience_seconds = patience_seconds
        # For Optuna's own migrations, which open an engine of their own, the schema must stand in the address;
        # elsewhere it must not, since transaction poolers reject this parameter.
        query = {"options": "-csearch_path=optuna"} if make_tables else {}
        super().__init__(
            database.url.update_query_dict(query).render_as_string(hide_password=False),
            engine_kwargs={**pool_arguments(), "connect_args": connect_arguments(database.url)},
            skip_compatibility_check=True,  # it asks for a second connection while it holds one
            skip_table_creation=not make_tables,
        )
        # Tables or calls of another version are left to Optuna.
        self.is_known = self.get_current_version() == SCHEMA_REVISION and is_called_as_expected()

    @property
    def engine(self) -> Engine:
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        # The parent makes its engine and queries through it within its constructor: only here can it be replaced, or
        # its schema be set. It has not connected yet.
        if self._shared is None:
            set_search_path(engine, "optuna")
        self._engine = engine if self._shared is None else of_schema(self._shared, "optuna")

    def demand_newest_tables(self) -> None:
        """Raise SchemaMismatch where the tables are of another version of Optuna."""
        current, newest = self.get_current_version(), self.get_head_version()
        if current != newest:
            raise SchemaMismatch(
                f"Optuna's tables must be of revision {newest}. Received: {current}. Run `optselect db upgrade`."
            )

    @contextlib.contextmanager
    def part_of(self, connection: Connection) -> Iterator[None]:
        """Let all that this thread does here in the block be a part of an open transaction.

        It is kept or lost with the transaction, and needs no second connection. Nothing is repeated here: an error has
        ended the transaction, which its owner may begin anew.
        """
        self.scoped_session.remove()
        self.scoped_session(bind=connection, join_transaction_mode="rollback_only")
        self._part_of.connection = connection
        try:
            with in_schema(connection, "optuna"):
                yield
        finally:
            del self._part_of.connection
            self.scoped_session.remove()

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """The transaction that this thread takes part in, else a new one."""
        if (joined := getattr(self._part_of, "connection", None)) is not None:
            yield joined
            return
        with self.engine.begin() as connection:
            yield connection

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # The parent's unpickling would create tables, in whatever process it happens.
        return PatientStorage, (self.database,)

    def again(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        if hasattr(self._part_of, "connection"):
            return call(*arguments)
        began = time.monotonic()
        lost = False

        def on_wait(error: BaseException) -> None:
            nonlocal lost
            lost = True
            log.warning("Database lost, waiting up to %.0f s: %s", self.patience_seconds, one_line(error))

        answer = again(lambda: call(*arguments), patience_seconds=self.patience_seconds, on_wait=on_wait)
        if lost:
            log.warning("Database back after %.1f s", time.monotonic() - began)
        return answer

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        tries = 0

        def tell() -> bool:
            nonlocal tries
            tries += 1
            try:
                return RDBStorage.set_trial_state_values(self, trial_id, state, values)
            except UpdateFinishedTrialError:
                if tries > 1 and self.is_told(trial_id, state, values):
                    return True  # by our first try: its commit arrived, the answer did not
                raise

        return self.again(tell)

    def is_told(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        seen = self.get_trial(trial_id)
        return seen.state == state and (values is None or seen.values == [float(value) for value in values])

    def has_study(self, name: str) -> bool:
        with self.begin() as connection:
            return bool(connection.execute(HAS_STUDY, {"name": name}).scalar_one())

    # Optuna's cache calls these methods, private ones among them, and no others. Each only adds the patience.

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self.again(super().create_new_study, directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self.again(super().delete_study, study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.again(super().set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.again(super().set_study_system_attr, study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self.again(super().get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self.again(super().get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self.again(super().get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.again(super().get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.again(super().get_study_system_attrs, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self.again(super().get_all_studies)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        if self.is_known and template_trial is not None and is_bare(template_trial):
            created = self.again(create_trial, self.begin, study_id, template_trial)
            if created is not None:
                return created
        return self.again(super()._create_new_trial, study_id, template_trial)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        values = (trial_id, param_name, param_value_internal, distribution, previous_distribution)
        known = self.is_known and previous_distribution is not None
        if not known or not self.again(wrote_param, self.begin, *values):
            self.again(super()._set_trial_param, *values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.again(super().set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self.is_known or not self.again(
            wrote_attribute, self.begin, USER_ATTRIBUTE, trial_id, key, value
        ):
            self.again(super().set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if not self.is_known or not self.again(
            wrote_attribute, self.begin, SYSTEM_ATTRIBUTE, trial_id, key, value
        ):
            self.again(super().set_trial_system_attr, trial_id, key, value)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self.again(super().get_trial_id_from_study_id_trial_number, study_id, trial_number)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if self.is_known:
            return self.again(read_trial, self.begin, trial_id)
        return self.again(super().get_trial, trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        chosen = (study_id, states, included_trial_ids, trial_id_greater_than)
        if self.is_known:
            return self.again(read_trials, self.begin, *chosen)
        return self.again(super()._get_trials, *chosen)

    def _get_best_trial_id(self, study_id: int, direction: StudyDirection) -> int:
        return self.again(super()._get_best_trial_id, study_id, direction)


EXPECTED = {
    "_get_trials": ("study_id", "states", "included_trial_ids", "trial_id_greater_than"),
    "_create_new_trial": ("study_id", "template_trial"),
    "_set_trial_param": (
        "trial_id",
        "param_name",
        "param_value_internal",
        "distribution",
        "previous_distribution",
    ),
}


def is_called_as_expected() -> bool:
    """Whether Optuna's private methods that are replaced here still take what they took."""
    return all(
        tuple(inspect.signature(getattr(RDBStorage, name)).parameters) == ("self", *arguments)
        for name, arguments in EXPECTED.items()
    )
