"""What does the end of a process say? To a person and scripts one thing, to supervisors and engines another."""

import enum


class UserExit(enum.IntEnum):
    """Exit codes of the commands a person types."""

    DONE = 0
    OUR_FAILURE = 1
    """A mistake of optselect itself, or too little of something: --debug shows where."""
    INVALID = 2
    """A missing file, a mistyped flag, a range that cannot be."""
    NOT_FOUND = 3
    """No study or trial of that name or number."""
    NO_USABLE_TRIAL = 4
    """The study finished, but no trial ended with a value."""
    UNREACHABLE = 5
    """The database or MLflow does not serve, or a folder is full or closed."""
    UNFINISHED = 75
    """Trials are left, and nobody trains them here any more: told to leave, or other workers have ended."""
    INTERRUPTED = 130
    """Ctrl-C: this machine's trials went back with a checkpoint."""


class WorkerExit(enum.IntEnum):
    """Exit codes of `optselect worker`: whoever started it restarts by them."""

    DONE = 0
    """Nothing is left to do, or the study was stopped."""
    MISCONFIGURED = 64
    """Never restart: unknown study, changed problem, old schema."""
    DEVICE_LOST = 70
    """The GPU is gone; it is looked for before the next start."""
    RETRY = 75
    """Start me again: told to leave, enough trials for one process, or the database was away too long."""
    INTERRUPTED = 130
    """Ctrl-C, after draining."""
