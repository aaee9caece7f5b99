"""What a caller of the storage may catch.

    StorageError
    ├── InvalidAddress   the address cannot be used as written: correct it
    ├── InvalidVariable  a variable of the environment is no number of its kind: correct it
    ├── Unreachable      the address is fine, the database does not serve us: make it serve
    ├── SchemaMismatch   the tables belong to another version: `optselect db upgrade`
    ├── NotFound         there is no such study or trial
    ├── InUse            workers train what was to be deleted: stop them first
    └── LeaseLost        the ticket belongs to another worker by now: leave it alone

Each message is one line: what must hold, what came, what to do. None shows a password.
"""


class StorageError(Exception):
    """Base of everything the storage raises on purpose."""


class InvalidAddress(StorageError):
    """The storage address cannot be read, is not Postgres, or its password file cannot be read."""


class InvalidVariable(StorageError):
    """A variable of the environment must be a number, and is another one or none."""


class Unreachable(StorageError):
    """The database refuses us, is dead, or cannot be started: a wrong password, a full disk, a closed home."""


class SchemaMismatch(StorageError):
    """The tables were made by an older or newer optselect or Optuna than the one installed here."""


class NotFound(StorageError):
    """No study or no trial of this name or number is stored."""


class InUse(StorageError):
    """A study cannot be deleted while workers train it."""


class LeaseLost(StorageError):
    """A fenced write hit no row: another worker has claimed the ticket since."""
