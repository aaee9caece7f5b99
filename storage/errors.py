"""What a caller of the storage may catch.

    StorageError
    ├── InvalidAddress   the address cannot be used as written: correct it
    ├── InvalidVariable  a variable of the environment is no number of its kind: correct it
    ├── Unreachable      the address is fine, the database does not serve us: make it serve
    │   └── NotGranted   the role lacks rights: `optselect db grant`
    ├── SchemaMismatch   the tables belong to another version: `optselect db upgrade`
    ├── NotFound         there is no such study or trial
    ├── InvalidRow       a row holds what no launch writes: look who may write the database
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


class NotGranted(Unreachable):
    """The role of the address may not do what its process has to do."""


class SchemaMismatch(StorageError):
    """The tables were made by an older or newer optselect or Optuna than the one installed here."""


class NotFound(StorageError):
    """No study or no trial of this name or number is stored."""


class InvalidRow(StorageError):
    """A row of the database holds what no launch writes."""


class InUse(StorageError):
    """A study cannot be deleted while workers train it."""


class LeaseLost(StorageError):
    """A fenced write hit no row: another worker has claimed the ticket since."""
