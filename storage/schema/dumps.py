"""What is in a dump, and which rows, without running a word of it?

A dump is a program. Its list, its COPY lines and its settings are SQL in the words of whoever made the file, and psql
would obey backslash commands between them. So none of it reaches a server or psql: pg_restore lists and unpacks it on
this machine alone, and what it prints is compared with the few lines that a backup of ours holds. A line of another
kind refuses the file.
"""

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg2.extensions import make_dsn
from sqlalchemy.engine import URL

from optselect.storage.errors import InvalidAddress, Unreachable
from optselect.storage.server.binaries import find_binaries
from optselect.storage.server.database import libpq_parameters, write_pgpass
from optselect.storage.server.refusals import cause_of_failure

Table = tuple[str, str]
"""Schema and name."""

MOST_ENTRIES = 20_000
LONGEST_LINE = 65_536
"""Of anything but a row; longer rows are read in pieces of this size."""

ENTRY = re.compile(r"(\d+); \d+ \d+ ([A-Z]+(?: [A-Z]+)*) (\S+) (.*)\n")
TWO_WORDS = {"CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT", "TRIGGER", "COMMENT"}
"""What stands on something else: it is listed by that one's name and its own."""

NAME = rb'(?:[a-z_][a-z0-9_]*|"(?:[^"\n]|"")+")'
SETTING = re.compile(rb"SET [a-z_]+ = (?:'\w*'|\w+);\n")
ENCODING = re.compile(rb"SET client_encoding = '(\w+)';\n")
WITHOUT_MEANING = re.compile(
    rb"\n|--[^\n]*\n|\\(?:un)?restrict \w+\n|SELECT pg_catalog\.set_config\('search_path', '', false\);\n"
)
COPY = re.compile(
    rb"COPY (%(name)s)\.(%(name)s) \((%(name)s(?:, %(name)s)*)\) FROM stdin;\n" % {b"name": NAME}
)
SEQUENCE = re.compile(
    rb"SELECT pg_catalog\.setval\('(%(name)s)\.(%(name)s)', (\d{1,19}), (true|false)\);\n" % {b"name": NAME}
)


@dataclass(frozen=True)
class Entry:
    """One line of a dump's list."""

    number: int  # by which pg_restore finds it
    kind: str  # TABLE, TABLE DATA, INDEX, ...
    schema: str  # `-` where it has none
    name: str  # of what stands on a table: the table's, and its own

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.schema, self.name

    def __str__(self) -> str:
        place = "" if self.schema == "-" else f"{self.schema}."
        return shown(f"{self.kind} {place}{self.name}")


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence of the dump stands."""

    name: Table
    value: int
    used: bool


class Rows:
    """The rows of one table in COPY's own form: a file for psycopg2, which never holds more than a piece of them."""

    def __init__(self, stream: IO[bytes], table: Table, columns: Sequence[str], encoding: str) -> None:
        self.table = table
        self.columns = columns
        self.encoding = encoding
        self.whole = False
        """Whether the end was seen, as the dump marks it."""

        self._stream = stream
        self._at_line_start = True
        self._ended = False

    def read(self, size: int = LONGEST_LINE) -> bytes:
        pieces: list[bytes] = []
        length = 0
        while not self._ended and (length < size or size < 0):
            piece = self._stream.readline(LONGEST_LINE)
            self.whole = self._at_line_start and piece == b"\\.\n"
            self._ended = self.whole or not piece
            if not self._ended:
                pieces.append(piece)
                length += len(piece)
                self._at_line_start = piece.endswith(b"\n")
        return b"".join(pieces)


# --- reading -------------------------------------------------------------------------------------------------------


def list_entries(dump: Path) -> list[Entry]:
    """What a dump holds; raises InvalidAddress."""
    entries: list[Entry] = []
    with pg_restore(dump, "--list") as lines:
        for line in iter(lambda: lines.readline(LONGEST_LINE), b""):
            if line.startswith(b";"):
                continue
            found = ENTRY.fullmatch(line.decode(errors="replace"))
            if found is None or len(entries) == MOST_ENTRIES:
                raise InvalidAddress(
                    f"The list of {dump.name} is none of a backup: {shown(line.decode(errors='replace'))}."
                )
            number, kind, schema, rest = found.groups()
            words = rest.split(" ")[: 2 if kind in TWO_WORDS else 1]
            entries.append(Entry(int(number), kind, schema, " ".join(words)))
    return entries


@contextmanager
def contents(dump: Path, entries: Iterable[Entry]) -> Iterator[Iterator[Rows | SequenceState]]:
    """The rows of the entries and where sequences stand, in the order of the entries.

    All rows of one table must be read before the next is asked for. Raises InvalidAddress where the dump holds anything
    else.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.writelines(f"{entry.number};\n" for entry in entries)
        wanted.flush()
        unpacked = ("--data-only", "--no-owner", "--no-privileges", f"--use-list={wanted.name}", "--file=-")
        with pg_restore(dump, *unpacked) as script:
            yield read_script(script)


def read_script(script: IO[bytes]) -> Iterator[Rows | SequenceState]:
    encoding = "UTF8"
    while line := script.readline(LONGEST_LINE):
        if copied := COPY.fullmatch(line):
            schema, table, columns = copied.groups()
            rows = Rows(script, (plain(schema), plain(table)), split_names(columns), encoding)
            yield rows
            if not rows.whole:
                raise InvalidAddress(f"The rows of {'.'.join(rows.table)} end too early: use another backup.")
        elif stands := SEQUENCE.fullmatch(line):
            yield SequenceState((plain(stands[1]), plain(stands[2])), int(stands[3]), stands[4] == b"true")
        elif chosen := ENCODING.fullmatch(line):
            encoding = chosen[1].decode()
        elif not SETTING.fullmatch(line) and not WITHOUT_MEANING.fullmatch(line):
            raise InvalidAddress(
                f"The backup holds a statement that none of ours does: {shown(line.decode(errors='replace'))}."
            )


def split_names(columns: bytes) -> list[str]:
    return [plain(name) for name in re.findall(NAME, columns)]


def plain(name: bytes) -> str:
    """A name without its quotes.

    >>> plain(b'"time""stamp"')
    'time"stamp'
    """
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def shown(words: str) -> str:
    """The beginning of a stranger's words, as it may be printed."""
    return "".join(letter if letter.isprintable() else "?" for letter in words.strip()[:80])


# --- Postgres's own tools ------------------------------------------------------------------------------------------


@contextmanager
def pg_restore(dump: Path, *arguments: str) -> Iterator[IO[bytes]]:
    """What pg_restore prints of a dump; it is given no server."""
    # The format is named: of others pg_restore would read further files.
    command: list[str | Path] = [
        find_binaries(os.environ) / "pg_restore",
        "--format=custom",
        *arguments,
        dump,
    ]
    with tempfile.TemporaryFile() as said:  # no pipe: nobody reads it meanwhile
        process = subprocess.Popen(
            command,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            process.stdout.read(1)  # nothing: it has ended
            code = process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        said.seek(0)
        if code != 0:
            raise InvalidAddress(
                f"{dump.name} of the backup cannot be read: {cause_of_failure(shown_text(said))}."
            )


def shown_text(said: IO[bytes]) -> str:
    lines = said.read(LONGEST_LINE).decode(errors="replace").splitlines()
    return "\n".join(map(shown, lines))


def pg_dump(url: URL, file: Path, *arguments: str) -> None:
    """Write a dump of a database.

    The password goes by a 0600 file, since anyone may read a command line.
    """
    with tempfile.TemporaryDirectory() as name:
        environment: Mapping[str, str] = {**os.environ, "LC_ALL": "C"}
        place = make_dsn(**{key: value for key, value in libpq_parameters(url).items() if key != "password"})
        if url.password is not None:
            write_pgpass(url, Path(name) / "pgpass")
            kept = {key: value for key, value in environment.items() if key != "PGPASSWORD"}
            environment = {**kept, "PGPASSFILE": str(Path(name) / "pgpass")}
        command: list[str | Path] = [
            find_binaries(os.environ) / "pg_dump",
            f"--dbname={place}",
            "--no-password",
        ]
        output = ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}"]
        done = subprocess.run(
            [*command, *output, *arguments], env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        # Here, not on the server.
        if "ERROR:" not in done.stderr and "No space left on device" in done.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        raise Unreachable(f"pg_dump failed on database {url.database}: {cause_of_failure(done.stderr)}.")
