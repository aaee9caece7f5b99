"""How wide is what is printed? As wide as a terminal is; a pipe, which has no width of its own, gets whole lines."""

import sys

from rich.console import Console

ONE_LINE = 10_000
"""Columns: more than any line has."""


def stdout_console() -> Console:
    """stdout, where the answer of a command goes: folding in a pipe would break numbers and whoever searches for words."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else ONE_LINE)
