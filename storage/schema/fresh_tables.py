"""How does a restore get empty tables of the dump's revision, and the old ones back where it fails?

What stood there is put aside under another schema's name. A restore that fails puts it back; of one that was killed
the next puts it back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from optselect.storage.schema.dumps import Table
from optselect.storage.server.database import make_engine

SCHEMA_EXISTS = text("SELECT to_regnamespace(:schema) IS NOT NULL")
TABLES = text("""
SELECT relname, (SELECT array_agg(attname::text) FROM pg_attribute
                  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
  FROM pg_class c WHERE relnamespace = to_regnamespace(:schema) AND relkind = 'r'""")
REFERENCES = text("""
SELECT source.relname, target.relname
  FROM pg_constraint k JOIN pg_class source ON source.oid = conrelid JOIN pg_class target ON target.oid = confrelid
 WHERE contype = 'f' AND source.relnamespace = to_regnamespace(:schema) AND confrelid <> conrelid""")
SEQUENCES = text("""
SELECT s.relname, t.relname, a.attname
  FROM pg_class s
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
  JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
 WHERE s.relkind = 'S' AND s.relnamespace = to_regnamespace(:schema)""")
# What may be moved from one schema to another by itself, but for what an extension owns.
MOVABLE = text("""
SELECT 'TABLE', relname, oid::regclass::text FROM pg_class c
 WHERE relnamespace = to_regnamespace(:schema) AND relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
UNION ALL
SELECT 'ROUTINE', proname, oid::regprocedure::text FROM pg_proc p
 WHERE pronamespace = to_regnamespace(:schema)
   AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
ORDER BY 1 DESC""")


@dataclass(frozen=True)
class Place:
    """A schema of a database, in which tables of one kind live."""

    url: URL
    schema: str

    @property
    def aside(self) -> str:
        return f"{self.schema}_before_restore"


@contextmanager
def fresh_tables(
    place: Place, revision: str, make: Callable[[], None], *, reuse: bool = True
) -> Iterator[None]:
    """Tables of a revision for the block, whatever rows they hold; where it fails, what was there before is back.

    Args:
        reuse: leave tables that have the revision as they are: the block fills them in one transaction.
    """
    put_back_unfinished(place)
    if reuse and revision_in(place) == revision:
        yield
        return
    put_aside(place)
    try:
        make()
        yield
    except BaseException:
        put_back(place)
        raise
    forget(place)


def revision_in(place: Place) -> str | None:
    with begin(place) as connection:
        table = f"{place.schema}.alembic_version"
        if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
            return None
        revision: str | None = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()
        return revision


# --- what a place holds --------------------------------------------------------------------------------------------


def columns_of(connection: Connection, schema: str) -> dict[Table, set[str]]:
    """The tables of a schema with the columns that take values."""
    return {
        (schema, name): set(columns or ()) for name, columns in connection.execute(TABLES, {"schema": schema})
    }


def references_of(connection: Connection, schema: str) -> list[tuple[Table, Table]]:
    """Which table needs rows of which."""
    found = connection.execute(REFERENCES, {"schema": schema})
    return [((schema, source), (schema, target)) for source, target in found]


def sequences_of(connection: Connection, schema: str) -> dict[Table, tuple[str, str]]:
    """The sequences of a schema, each with the table and the column that it numbers."""
    found = connection.execute(SEQUENCES, {"schema": schema})
    return {(schema, name): (table, column) for name, table, column in found}


# --- putting aside and back ----------------------------------------------------------------------------------------


def put_back_unfinished(place: Place) -> None:
    """Undo what a restore left behind that was killed."""
    with begin(place) as connection:
        left = exists(connection, place.aside)
    if left:
        put_back(place)


def put_aside(place: Place) -> None:
    """Leave an empty schema."""
    with begin(place) as connection:
        if not exists(connection, place.schema):
            connection.execute(text(f"CREATE SCHEMA {place.schema}"))
        elif place.schema == "public":  # it belongs to the server's owner: only what is in it is ours
            connection.execute(text(f"CREATE SCHEMA {place.aside}"))
            move_all(connection, place.schema, place.aside)
        else:
            connection.execute(text(f"ALTER SCHEMA {place.schema} RENAME TO {place.aside}"))
            connection.execute(text(f"CREATE SCHEMA {place.schema}"))


def put_back(place: Place) -> None:
    with begin(place) as connection:
        if place.schema == "public":
            drop_all(connection, place.schema)
            move_all(connection, place.aside, place.schema)
            connection.execute(text(f"DROP SCHEMA IF EXISTS {place.aside}"))
            return
        connection.execute(text(f"DROP SCHEMA IF EXISTS {place.schema} CASCADE"))
        if exists(connection, place.aside):
            connection.execute(text(f"ALTER SCHEMA {place.aside} RENAME TO {place.schema}"))


def forget(place: Place) -> None:
    with begin(place) as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {place.aside} CASCADE"))


def move_all(connection: Connection, source: str, target: str) -> None:
    for kind, _, written in connection.execute(MOVABLE, {"schema": source}).all():
        connection.execute(text(f"ALTER {kind} {literal(written)} SET SCHEMA {target}"))


def drop_all(connection: Connection, schema: str) -> None:
    for kind, _, written in connection.execute(MOVABLE, {"schema": schema}).all():
        connection.execute(text(f"DROP {kind} {literal(written)} CASCADE"))


def exists(connection: Connection, schema: str) -> bool:
    return bool(connection.execute(SCHEMA_EXISTS, {"schema": schema}).scalar_one())


def literal(written: str) -> str:
    """What Postgres wrote, for text(), where a colon begins a parameter."""
    return written.replace(":", r"\:")


@contextmanager
def begin(place: Place) -> Iterator[Connection]:
    # Only the catalogue is on the path, so that Postgres writes every name with its schema.
    with make_engine(place.url, "pg_catalog", pooled=False).begin() as connection:
        yield connection
