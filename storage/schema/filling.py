"""Which rows of a dump go into which tables, and in which order?

The tables are there already, made by us. What the dump says of tables is compared with them and never carried out; its
rows go in by COPY statements that name the columns we know, each table after those it refers to.
"""

import graphlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import psycopg2
from psycopg2.extensions import connection as PostgresConnection
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import SQL, Composed, Identifier
from sqlalchemy.engine import URL

from optselect.storage.errors import InvalidAddress
from optselect.storage.schema.dumps import Entry, Rows, SequenceState, Table, contents, list_entries, pg_dump
from optselect.storage.schema.fresh_tables import columns_of, references_of, sequences_of
from optselect.storage.server.database import make_engine, one_line

VERSIONS = ("alembic_version", "version_info")
"""Tables that say which version made the others: they are written by whoever makes them."""

ON_TABLES = {"CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT", "INDEX"}
"""What an administrator or an older version may have made otherwise on tables of ours."""

OF_SCHEMA_PUBLIC = {("SCHEMA", "-", "public"), ("COMMENT", "-", "SCHEMA public")}
USUAL = ON_TABLES | {"SCHEMA", "TYPE", "TABLE", "TABLE DATA", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET"}
USUAL_OF_MLFLOW = USUAL | {"FUNCTION", "TRIGGER"}
REFUSED_ROWS = ("22", "23", "54")
"""SQLSTATE classes: a value that cannot be, a broken constraint, a row that is too large."""


@dataclass(frozen=True)
class Dump:
    """A dump and the schemas that it is of."""

    file: Path
    schemas: Sequence[str]
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Layout:
    """The tables of a place, as they are."""

    columns: dict[Table, set[str]]
    references: list[tuple[Table, Table]]
    sequences: dict[Table, tuple[str, str]]
    objects: set[tuple[str, str, str]]  # as a dump lists them

    @property
    def in_order(self) -> list[Table]:
        """The tables whose rows are restored, each after those it refers to."""
        order: graphlib.TopologicalSorter[Table] = graphlib.TopologicalSorter()
        for table in sorted(self.columns):
            order.add(table)
        for source, target in self.references:
            order.add(source, target)
        return [table for table in order.static_order() if table[1] not in VERSIONS]


def read_dump(file: Path, *schemas: str) -> Dump:
    return Dump(file, schemas, list_entries(file))


def odd_objects(dump: Dump, usual: set[str] = USUAL) -> list[str]:
    """What a restore would refuse, as far as its kind tells."""
    return [
        str(entry) for entry in dump.entries if entry.kind not in usual and entry.key not in OF_SCHEMA_PUBLIC
    ]


def revision_of(dump: Dump, schema: str) -> str:
    """Which revision the tables of a schema had when they were dumped; raises InvalidAddress."""
    told = [entry for entry in dump.entries if entry.key == ("TABLE DATA", schema, "alembic_version")]
    found: list[str] = []
    with contents(dump.file, told) as parts:
        for part in parts:
            if isinstance(part, Rows):
                found += part.read(-1).decode(errors="replace").splitlines() if not found else []
    if len(found) != 1 or not found[0].replace(".", "").isalnum() or len(found[0]) > 32:
        raise InvalidAddress(f"{dump.file.name} of the backup does not say of which revision its tables are.")
    return found[0]


def layout_of(url: URL, schemas: Sequence[str]) -> Layout:
    """What the tables of a place are like, now that they are made."""
    layout = Layout({}, [], {}, set())
    with make_engine(url, "pg_catalog", pooled=False).connect() as connection:
        for schema in schemas:
            layout.columns.update(columns_of(connection, schema))
            layout.references.extend(references_of(connection, schema))
            layout.sequences.update(sequences_of(connection, schema))
    with tempfile.TemporaryDirectory() as name:
        pg_dump(url, Path(name) / "made", "--schema-only", *(f"--schema={schema}" for schema in schemas))
        layout.objects.update(entry.key for entry in list_entries(Path(name) / "made"))
    return layout


# --- judging the list ----------------------------------------------------------------------------------------------


def refuse_others(dump: Dump, layout: Layout) -> None:
    """Raise InvalidAddress where the dump lists what our tables do not have, or lacks rows of one of them."""
    for entry in dump.entries:
        if not is_ours(entry, dump, layout):
            raise InvalidAddress(
                f"A backup holds the tables of optselect, Optuna and MLflow and nothing else. Received: {entry}."
                " Nothing was restored: take a backup that `optselect db backup` made, from somebody you trust."
            )
    listed = [entry.key[1:] for entry in dump.entries if entry.kind == "TABLE DATA"]
    for table in layout.in_order:
        if listed.count(table) != 1:
            raise InvalidAddress(
                f"A backup holds the rows of each table once. Received: {listed.count(table)} times those of"
                f" {'.'.join(table)}. Use another backup."
            )


def is_ours(entry: Entry, dump: Dump, layout: Layout) -> bool:
    name = (entry.schema, entry.name)
    if entry.kind == "TABLE DATA":
        return name in layout.columns
    if entry.kind == "SEQUENCE SET":
        return name in layout.sequences
    if entry.kind == "INDEX":
        return entry.schema in dump.schemas
    if entry.kind in ON_TABLES:
        return (entry.schema, entry.name.partition(" ")[0]) in layout.columns
    return entry.key in layout.objects or entry.key in OF_SCHEMA_PUBLIC


# --- copying -------------------------------------------------------------------------------------------------------


def fill(connection: PostgresConnection, dump: Dump, layout: Layout) -> None:
    """Replace all rows by those of the dump, in the open transaction; raises InvalidAddress."""
    with connection.cursor() as cursor, refused_rows(dump):
        # A server may end what takes long.
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute(SQL("TRUNCATE {}").format(SQL(", ").join(map(quoted, layout.in_order))))
        copied: list[Table] = []
        stands: dict[Table, SequenceState] = {}
        with contents(dump.file, entries_in_order(dump, layout)) as parts:
            for part in parts:
                if isinstance(part, Rows):
                    # It is read, no more: that is all of a file that is asked for.
                    cursor.copy_expert(copy_statement(part, layout), cast(IO[bytes], part))
                    copied.append(part.table)
                else:
                    stands[part.name] = part
        if copied != layout.in_order:
            raise InvalidAddress(f"The list of {dump.file.name} and its rows differ: use another backup.")
        for sequence, numbered in layout.sequences.items():
            set_sequence(cursor, sequence, numbered, stands.get(sequence))


def entries_in_order(dump: Dump, layout: Layout) -> list[Entry]:
    rows = {entry.key[1:]: entry for entry in dump.entries if entry.kind == "TABLE DATA"}
    return [
        *(rows[table] for table in layout.in_order),
        *(entry for entry in dump.entries if entry.kind == "SEQUENCE SET"),
    ]


def copy_statement(rows: Rows, layout: Layout) -> Composed:
    """Our own words for what the dump wants to copy; raises InvalidAddress where that is no table of ours."""
    known = layout.columns.get(rows.table, set()) if rows.table[1] not in VERSIONS else set()
    if not set(rows.columns) <= known or len(set(rows.columns)) < len(rows.columns):
        raise InvalidAddress(
            f"The rows of a backup go into columns of our tables. Received: {'.'.join(rows.table)}"
            f" ({', '.join(rows.columns)[:200]}). Use another backup."
        )
    columns = SQL(", ").join(map(Identifier, rows.columns))
    statement = SQL("COPY {} ({}) FROM STDIN WITH (ENCODING {})")
    return statement.format(quoted(rows.table), columns, SQL(f"'{rows.encoding}'"))


def set_sequence(
    cursor: Cursor, sequence: Table, numbered: tuple[str, str], stands: SequenceState | None
) -> None:
    """Let a sequence go on behind the rows, and where it stood."""
    table, column = numbered
    newest = SQL("SELECT max({}) FROM {}").format(Identifier(column), quoted((sequence[0], table)))
    cursor.execute(newest)
    ((most,),) = cursor.fetchall()
    value, used = (stands.value, stands.used) if stands is not None else (1, False)
    if most is not None and most >= value:
        value, used = most, True
    cursor.execute("SELECT setval(%s::regclass, %s, %s)", (quoted(sequence).as_string(cursor), value, used))


def quoted(table: Table) -> Identifier:
    return Identifier(*table)


@contextmanager
def refused_rows(dump: Dump) -> Iterator[None]:
    """Turn what the tables refuse into one line."""
    try:
        yield
    except psycopg2.Error as error:
        if not str(error.pgcode or "").startswith(REFUSED_ROWS):
            raise
        raise InvalidAddress(
            f"{dump.file.name} of the backup holds rows that its tables refuse: {one_line(error)}. Use another backup."
        ) from error
