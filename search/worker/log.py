"""What does a worker say while it works? One line per event on stderr, which its supervisor keeps as a log file."""

import logging
import os
import sys


def log_to_stderr() -> None:
    """One line per event, with the time, as a log file wants it."""
    logging.basicConfig(
        level=logging.DEBUG if "OPTSELECT_DEBUG" in os.environ else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for noisy in ("tensorflow", "h5py", "absl", "sqlalchemy", "optuna", "matplotlib", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
