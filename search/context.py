"""Where does a command work, and how does it speak?"""

import os
from dataclasses import dataclass
from pathlib import Path

from optselect.storage.records.checkpoint_files import check_place
from optselect.storage.schema.initialise import initialise
from optselect.storage.server.database import Database, Engine, make_engine, open_database
from optselect.storage.tracking.address import check_tracking


@dataclass(frozen=True)
class Context:
    """Where a command works and how it speaks."""

    storage: str | None
    home: Path
    tracking: str | None = None
    as_json: bool = False
    checkpoints: str | None = None

    def __post_init__(self) -> None:
        if self.tracking is not None:
            check_tracking(self.tracking)
        if self.checkpoints is not None:
            check_place(self.checkpoints)

    def open(self) -> Database:
        """The database, ready to use."""
        database = open_database(self.storage, self.home, os.environ)
        initialise(database)
        return database

    def connect(self) -> tuple[Database, Engine]:
        """The same, with connections to it."""
        database = self.open()
        return database, make_engine(database)
