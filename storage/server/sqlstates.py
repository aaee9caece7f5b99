"""What does an error of the server mean, and what is to be done about it? One table, by SQLSTATE.

Every class of PostgreSQL's Appendix A has its place here; a code of its own beats its class. A code that is in neither is
a mistake of ours, for we sent the statement. The server's words count only where an error has no code: those that libpq
raises while it connects, or where the connection broke.
"""

import enum
import re
from collections.abc import Mapping


class Cure(enum.Enum):
    """What to do."""

    WAIT = "wait"
    """It passes by itself: try again now and then, as long as the patience lasts."""
    REPEAT = "repeat"
    """The server gave this transaction up, not its service: begin it anew at once."""
    REFUSE = "refuse"
    """Somebody must act first: say what, in one sentence."""
    BUG = "bug"
    """We sent what must not be sent."""


class Trouble(enum.Enum):
    """What is wrong."""

    AWAY = "away"
    FULL = "full"  # disk, memory, connections
    READ_ONLY = "read-only"
    CONFLICT = "conflict"
    LOGIN = "login"
    DATABASE = "database"
    RIGHTS = "rights"
    TABLES = "tables"
    UNSUPPORTED = "unsupported"
    LIMIT = "limit"
    DAMAGE = "damage"
    OURS = "ours"

    @property
    def cure(self) -> Cure:
        return CURES[self]


CURES: Mapping[Trouble, Cure] = {
    Trouble.AWAY: Cure.WAIT,
    Trouble.FULL: Cure.WAIT,
    Trouble.READ_ONLY: Cure.WAIT,  # a failover; what lasts longer than the patience is refused with its own sentence
    Trouble.CONFLICT: Cure.REPEAT,
    Trouble.LOGIN: Cure.REFUSE,
    Trouble.DATABASE: Cure.REFUSE,
    Trouble.RIGHTS: Cure.REFUSE,
    Trouble.TABLES: Cure.REFUSE,
    Trouble.UNSUPPORTED: Cure.REFUSE,
    Trouble.LIMIT: Cure.REFUSE,
    Trouble.DAMAGE: Cure.REFUSE,
    Trouble.OURS: Cure.BUG,
}

OURS_BY_CLASS = "00 01 02 03 09 0B 0F 0L 0N 0Z 10 20 21 22 23 24 25 26 27 2B 2D 2F 34 36 38 39 3B 42 44 HV P0"
"""Successes, warnings, values that do not fit, broken constraints, wrong syntax, cursors, functions and foreign tables."""

CLASSES: Mapping[str, Trouble] = (
    dict.fromkeys(OURS_BY_CLASS.split(), Trouble.OURS)
    | {
        "08": Trouble.AWAY,  # connection exception; poolers say everything by 08P01: no server, all taken, waited too long
        "0A": Trouble.UNSUPPORTED,  # feature not supported: no PostgreSQL of its own kind
        "0P": Trouble.RIGHTS,  # invalid role
        "28": Trouble.LOGIN,  # invalid authorization
        "3D": Trouble.DATABASE,  # invalid catalog name
        "3F": Trouble.TABLES,  # invalid schema name
        "40": Trouble.CONFLICT,  # transaction rollback
        "53": Trouble.FULL,  # insufficient resources
        "54": Trouble.LIMIT,  # program limit exceeded, transaction numbers among them
        "55": Trouble.OURS,  # object not in prerequisite state
        "57": Trouble.AWAY,  # operator intervention
        "58": Trouble.FULL,  # system error: the disk does not read or write
        "72": Trouble.CONFLICT,  # snapshot too old
        "F0": Trouble.AWAY,  # configuration file error: its owner is at work
        "XX": Trouble.DAMAGE,  # internal error, data or index corrupted
    }
)

CODES: Mapping[str, Trouble] = {
    "25006": Trouble.READ_ONLY,  # read_only_sql_transaction
    "25P02": Trouble.CONFLICT,  # in_failed_sql_transaction: its rollback was lost, and the connection goes with it
    "25P03": Trouble.AWAY,  # idle_in_transaction_session_timeout: the session was ended
    "25P04": Trouble.AWAY,  # transaction_timeout: so was this
    "40002": Trouble.OURS,  # transaction_integrity_constraint_violation
    "42501": Trouble.RIGHTS,  # insufficient_privilege
    "42P01": Trouble.TABLES,  # undefined_table
    "42703": Trouble.TABLES,  # undefined_column: tables of another version
    "55006": Trouble.CONFLICT,  # object_in_use
    "55P03": Trouble.CONFLICT,  # lock_not_available
    "57014": Trouble.CONFLICT,  # query_canceled: by somebody, or a statement_timeout
    "57P04": Trouble.DATABASE,  # database_dropped
    "58P01": Trouble.DAMAGE,  # undefined_file
    "58P02": Trouble.DAMAGE,  # duplicate_file
}

OF_NO_USE = ("25006", "25P02")
"""The connection that answers so is left: the next one may lead to another server, or begins anew."""

# The first that fits. None of them is said of what passes by itself, such as a server that starts or has no free slot.
WORDS: Mapping[str, Trouble] = {
    r"read-only|hot standby mode is (disabled|not)": Trouble.READ_ONLY,
    r"permission denied for|does not have CONNECT": Trouble.RIGHTS,
    r'database ".*" does not exist|no such database': Trouble.DATABASE,
    r"authentication failed|no password supplied|pg_hba|not permitted to log in|role .* does not exist": Trouble.LOGIN,
    r"no such user": Trouble.LOGIN,
    r"unsupported startup parameter|unsupported frontend protocol": Trouble.UNSUPPORTED,
}

SENTENCES: Mapping[Trouble, str] = {
    Trouble.AWAY: "The database went away: {words}. Start it again, then repeat.",
    Trouble.FULL: "The database has no room or no free connection: {words}. Make some, then repeat.",
    Trouble.READ_ONLY: "The database can be read only, not written: {words}. Give the address of the server that takes"
    " writes, or wait until it does; where only this role may not write, let the database's owner lift its"
    " default_transaction_read_only and run `optselect db grant ROLE`.",
    Trouble.CONFLICT: "The database gave the statement up: {words}. Repeat; where that does not help, look at its"
    " statement_timeout and lock_timeout.",
    Trouble.LOGIN: "The database does not let this role in: {words}. Correct the address or the password.",
    Trouble.DATABASE: "The database is not there: {words}. Create it with CREATE DATABASE, or correct the address.",
    Trouble.RIGHTS: "The role of this address may not do that in the database: {words}. Let the database's owner run"
    " `optselect db grant ROLE`, with the role's name.",
    Trouble.TABLES: "The database lacks tables of this version: {words}. Run `optselect db upgrade`.",
    Trouble.UNSUPPORTED: "The server does not do what PostgreSQL 13 or newer does: {words}. Give the address of one.",
    Trouble.LIMIT: "The server has reached a limit of its own: {words}. Whoever runs it must look at its log.",
    Trouble.DAMAGE: "The server reports damage: {words}. Whoever runs it must look at its log.",
}
"""What a person reads; {words} are the server's own."""


def trouble_of(code: str) -> Trouble:
    """What a SQLSTATE means.

    >>> trouble_of("53100"), trouble_of("25006"), trouble_of("57014")
    (<Trouble.FULL: 'full'>, <Trouble.READ_ONLY: 'read-only'>, <Trouble.CONFLICT: 'conflict'>)
    >>> trouble_of("25001"), trouble_of("ZZ999")
    (<Trouble.OURS: 'ours'>, <Trouble.OURS: 'ours'>)
    """
    return CODES.get(code) or CLASSES.get(code[:2], Trouble.OURS)


def trouble_in(words: str) -> Trouble:
    """What an error without a code means: the connection was refused, reset, closed, or never let in.

    >>> trouble_in('FATAL:  password authentication failed for user "ann"')
    <Trouble.LOGIN: 'login'>
    >>> trouble_in("server closed the connection unexpectedly"), trouble_in("could not translate host name")
    (<Trouble.AWAY: 'away'>, <Trouble.AWAY: 'away'>)
    """
    found = (trouble for pattern, trouble in WORDS.items() if re.search(pattern, words))
    return next(found, Trouble.AWAY)
