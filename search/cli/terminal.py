"""How wide is what is printed? As wide as a terminal is; a pipe, which has no width of its own, gets whole lines."""

import sys

from rich.console import Console

from optselect.search.documents import Document, document_text

ONE_LINE = 10_000
"""Columns: more than any line has."""


def stdout_console() -> Console:
    """stdout, where the answer of a command goes: folding in a pipe would break numbers and whoever searches for words."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else ONE_LINE)


def print_document(document: "Document") -> None:
    """Print what --json asks for."""
    print(document_text(document))


def stderr_console() -> Console:
    """stderr, where everything else goes."""
    return Console(stderr=True, highlight=False)
