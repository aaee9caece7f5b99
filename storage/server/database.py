"""Where are the studies kept, and how does one talk to that place through outages?

An address may name a Postgres server; without one the embedded server of the home folder serves. Every address
becomes `postgresql+psycopg2://` here, since SQLAlchemy 2.1 reads a bare `postgresql://` as psycopg 3.
"""

import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import psycopg2.errorcodes
import sqlalchemy
from psycopg2.sql import SQL, Identifier
from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolBusy

from optselect.storage.errors import InvalidAddress, NotGranted, SchemaMismatch, StorageError, Unreachable
from optselect.storage.server import embedded
from optselect.storage.server.environment import number_in
from optselect.storage.server.full_disk import causes
from optselect.storage.server.home import open_home
from optselect.storage.server.own_files import make_folder, private, replacing
from optselect.storage.server.sqlstates import OF_NO_USE, SENTENCES, Cure, Trouble, trouble_in, trouble_of

EMBEDDED_DATABASE = "optselect"
OLDEST_POSTGRES = 13  # gen_random_uuid() without an extension
PATIENCE_SECONDS = 600.0
RETRY_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.01
"""Most that is waited before a transaction is begun anew for the first time; then twice as much, and so on."""
MOST_SILENT_TRIES = 5
LONGEST_THOUGHT_SECONDS = 120
"""Between two statements of one transaction; MLflow may take a few requests' time there."""

BUSY_SECONDS = 10.0
"""How long a thread waits for one of its process's connections before it says so; then it asks again."""

SCHEMA, SCHEMA_DUE = "optselect_schema", "optselect_schema_due"

Engine = sqlalchemy.Engine  # search/ hands engines on and imports no SQLAlchemy itself
Connection = sqlalchemy.Connection

Begin = Callable[[], AbstractContextManager[Connection]]
"""Gives a transaction to write in."""

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """One place that keeps studies."""

    url: URL  # drivername postgresql+psycopg2; the password inside, where one is known
    home: Path  # OPTSELECT_HOME
    embedded: bool  # the server of the home folder, which attach() finds again without an address

    @property
    def masked(self) -> str:
        """The address as it may be shown to anyone."""
        return masked(self.url)


def open_database(storage: str | None, home: Path, environment: Mapping[str, str]) -> Database:
    """Find the database and prove with one connection that it serves.

    `storage` beats OPTSELECT_STORAGE, which beats the embedded server of `home` (started where needed).
    Raises InvalidAddress or Unreachable.
    """
    database = named_database(storage, home, environment)
    if database is None:
        return open_embedded(home.absolute(), environment)
    with suppress(OSError):  # who only reads needs none
        open_home(database.home)
    check_connection(database.url)
    return database


def named_database(storage: str | None, home: Path, environment: Mapping[str, str]) -> Database | None:
    """The server that an address names, not yet asked; None where there is no address. Raises InvalidAddress."""
    address = storage or environment.get("OPTSELECT_STORAGE")
    if not address:
        return None
    return Database(with_password(normalise(address), environment), home.absolute(), embedded=False)


def open_embedded(home: Path, environment: Mapping[str, str]) -> Database:
    server = embedded.ensure_running(home, environment)
    database = Database(server.set(database=EMBEDDED_DATABASE), home, embedded=True)
    if not database_exists(server, EMBEDDED_DATABASE):
        create_database(server, EMBEDDED_DATABASE)
    return database


def normalise(text: str) -> URL:
    """Read an address of a Postgres database into the one form that SQLAlchemy, Optuna and MLflow share.

    >>> normalise("postgres://ann@db.example.org/studies").drivername
    'postgresql+psycopg2'
    """
    scheme, separator, _ = text.strip().partition("://")
    if not separator:
        raise InvalidAddress(  # the text is not shown: it may hold a password
            "The storage address must look like postgresql://user@host:5432/database; what came has no '://'."
        )
    if not re.fullmatch(r"postgres(ql)?(\+psycopg2)?", scheme):
        raise InvalidAddress(reason_against(scheme))
    try:
        url = make_url(re.sub(r"^[^:]*://", "postgresql+psycopg2://", text.strip(), count=1))
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise InvalidAddress(
            "The storage address must look like postgresql://user@host:5432/database; what came cannot be read"
            " (a special character of a password is written as %XX, for example %40 for @)."
        ) from error.with_traceback(None)
    return checked(with_query_credentials(url))


def reason_against(scheme: str) -> str:
    name = scheme if re.fullmatch(r"[A-Za-z0-9+._-]{1,40}", scheme) else "another"
    if name.startswith("postgres"):
        return f"The only driver is psycopg2: write postgresql:// instead of {name}://."
    return (
        f"Studies are kept in PostgreSQL only, received a {name}:// address: give postgresql://user@host/database,"
        " or no address for the embedded server."
    )


def with_query_credentials(url: URL) -> URL:
    """Move `?user=…&password=…`, which libpq allows, to where they are masked and found."""
    user, password = url.query.get("user"), url.query.get("password")
    if isinstance(user, str) and url.username is None:
        url = url.set(username=user)
    if isinstance(password, str) and url.password is None:
        url = url.set(password=password)
    return url.difference_update_query(["user", "password"])


def checked(url: URL) -> URL:
    if not url.database:
        raise InvalidAddress(f"The storage address must name a database at its end, received {masked(url)}.")
    if "sslpassword" in url.query:
        raise InvalidAddress(
            "sslpassword cannot be given in the storage address, since child processes could not get it secretly:"
            " use a key without a password in a 0600 file."
        )
    if "\n" in (url.password or "") or "\r" in (url.password or ""):
        raise InvalidAddress(
            "The password of the storage must not hold a line break (a .pgpass file cannot)."
        )
    return url


def with_password(url: URL, environment: Mapping[str, str]) -> URL:
    """Add the password that the address leaves out; without one libpq looks into PGPASSFILE or ~/.pgpass."""
    if url.password is not None:
        return url
    if file := environment.get("OPTSELECT_STORAGE_PASSWORD_FILE"):
        try:
            return checked(url.set(password=Path(file).read_text("utf-8").strip()))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise InvalidAddress(
                f"OPTSELECT_STORAGE_PASSWORD_FILE must name a file with the password, received {file}: {reason}."
            ) from error
    if password := environment.get("PGPASSWORD"):  # taken over, so that children get it by a file
        return checked(url.set(password=password))
    return url


def masked(url: URL) -> str:
    """Write an address with *** for every password."""
    hidden = {key: "***" for key in url.query if "password" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def check_connection(url: URL) -> None:
    """Connect once, so that a dead or wrong address fails here and now."""
    with closing(connect(url)) as connection:
        major = connection.server_version // 10000
    if major < OLDEST_POSTGRES:
        raise Unreachable(f"PostgreSQL {OLDEST_POSTGRES} or newer is needed, {masked(url)} runs {major}.")


def database_exists(server: URL, name: str) -> bool:
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        return cursor.fetchone() is not None


def create_database(server: URL, name: str) -> None:
    """Create a database unless it exists; psycopg2's InsufficientPrivilege passes through."""
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        # Another process may be faster; the unique violation is the same race, seen a moment earlier.
        with suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
            cursor.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))


def drop_database(server: URL, name: str) -> None:
    """Drop a database that this process has created."""
    with closing(connect(server)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))


def connect(url: URL) -> psycopg2.extensions.connection:
    """Open a plain psycopg2 connection; raises Unreachable with the cause by name."""
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(**libpq_parameters(url))
        return connection
    except (psycopg2.Error, UnicodeError, ValueError) as error:
        raise Unreachable(f"The database {masked(url)} cannot be reached: {cause_of(error, url)}.") from error


def libpq_parameters(url: URL) -> dict[str, Any]:
    """Return an address as libpq's keywords, with our time limits."""
    given = url.translate_connect_args(username="user", database="dbname")
    query = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    return connect_arguments(url) | given | query


def cause_of(error: BaseException, url: URL) -> str:
    text = " ".join(str(error).split())
    host = f"{url.host or 'the local socket'}{f':{url.port}' if url.port else ''}"
    known = {  # the first that fits
        "password authentication failed": f"the password of {url.username or 'the user'} is wrong",
        "no password supplied": "no password was given (in the address, OPTSELECT_STORAGE_PASSWORD_FILE or PGPASSFILE)",
        "no pg_hba.conf entry": "the server admits no such user from this machine (pg_hba.conf)",
        "could not translate host name": f"the host {url.host} is unknown",
        "Connection refused": f"nothing listens on {host} (connection refused)",
        "timeout expired": f"{host} did not answer within 10 s",
        "starting up": "the server is still starting",
        "too many clients": "the server has no free connection",
        "connection slots": "the server has no free connection",
    }
    for part, cause in known.items():
        if part in text:
            return cause
    if re.search(r'database ".*" does not exist', text):
        return f"it has no database {url.database}; create it with CREATE DATABASE"
    return re.sub(r"^.*?FATAL: +", "", text).rstrip(".") or type(error).__name__


def connect_arguments(url: URL) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "connect_timeout": 10,
        "application_name": "optselect",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        # Keepalives rest while sent data waits for its answer: without this a cut cable is noticed after 15 minutes.
        "tcp_user_timeout": 60_000,
    }
    return {key: value for key, value in defaults.items() if key not in url.query}


def make_engine(place: Database | URL, schema: str = "optselect", *, pooled: bool = True) -> Engine:
    """Make an engine whose every transaction looks for its tables in `schema`.

    `pooled=False` opens a connection for each use: for threads that write seldom.
    """
    url = place.url if isinstance(place, Database) else place
    pool: dict[str, Any] = pool_arguments() if pooled else {"poolclass": NullPool}
    engine = create_engine(url, connect_args=connect_arguments(url), **pool)
    set_search_path(engine, schema)
    return engine


def make_worker_engine(database: Database) -> Engine:
    """Make the one engine of a worker, for our tables and Optuna's: two connections at most, however many threads ask.

    A third thread waits until one is given back. That is no deadlock as long as no thread holds a connection while it
    asks for another; the end of a trial, too, is one transaction on one connection.
    """
    bound = pool_arguments(overflow=1) | {"pool_timeout": BUSY_SECONDS}
    engine = create_engine(database.url, connect_args=connect_arguments(database.url), **bound)
    set_search_path(engine, "optselect")
    return engine


def pool_arguments(overflow: int = 4) -> dict[str, Any]:
    """How many connections an engine keeps: one stays open, threads that meet open others for that moment."""
    return {"pool_pre_ping": True, "pool_size": 1, "max_overflow": overflow, "pool_recycle": 1800}


def of_schema(engine: Engine, schema: str) -> Engine:
    """The same engine, on the same connections, with its tables in another schema."""
    return engine.execution_options(**{SCHEMA: schema})


@contextmanager
def in_schema(connection: Connection, schema: str) -> Iterator[None]:
    """Let the statements of the block, which is a part of an open transaction, find their tables in another schema."""
    info = connection.info  # kept: a connection that was lost in the block has none any more
    info[SCHEMA_DUE] = schema
    try:
        yield
    finally:
        info[SCHEMA_DUE] = info[SCHEMA]


def set_search_path(engine: Engine, schema: str) -> None:
    """Let every transaction of an engine find its tables in `schema`.

    By transaction, not by connection: behind a transaction pooler the next transaction may get another connection.
    The setting travels with the transaction's first statement and costs no round trip of its own. With it the server
    learns when to give a transaction up: a machine that loses its power in the middle of one would hold its row locks
    until TCP notices, after two hours.
    """
    limit = f"SET LOCAL idle_in_transaction_session_timeout TO '{LONGEST_THOUGHT_SECONDS}s'"

    def begin(connection: Connection) -> None:
        usual = connection.get_execution_options().get(SCHEMA, schema)
        connection.info.update({SCHEMA: usual, SCHEMA_DUE: usual})

    def prefix(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> tuple[str, Any]:
        due = connection.info.pop(SCHEMA_DUE, None)
        if due is None:
            return statement, parameters
        setting = f"SET LOCAL search_path TO {due}; {limit}"
        if many:  # its statement is repeated with each row
            cursor.execute(setting)
            return statement, parameters
        return f"{setting}; {statement}", parameters

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", prefix, retval=True)
    event.listen(engine, "handle_error", leave_of_no_use)


def leave_of_no_use(context: ExceptionContext) -> None:
    """Keep no connection that answers and yet serves nobody: it would be kept for ever, and every next try be made on it.

    After a failover the address may lead to the new server, while an open connection still leads to the old one.
    """
    if getattr(context.original_exception, "pgcode", None) in OF_NO_USE:
        context.is_disconnect = True


def trouble_of_error(error: BaseException) -> Trouble | None:
    """What an error of the database means; None where it is none, or none of ours.

    Looks through SQLAlchemy's and Optuna's wrappers only: a user's code may raise psycopg2's errors, too, and whoever
    reports those wraps them.
    """
    while not isinstance(error, DBAPIError | psycopg2.Error | PoolBusy):
        if not type(error).__module__.startswith("optuna.") or error.__cause__ is None:
            return None
        error = error.__cause__
    if isinstance(error, PoolBusy):
        return Trouble.AWAY
    original = error.orig if isinstance(error, DBAPIError) else error
    if code := getattr(original, "pgcode", None):
        return trouble_of(str(code))
    # Of a broken or closed connection.
    is_bare = type(original) in (psycopg2.DatabaseError, psycopg2.InterfaceError)
    if is_bare or isinstance(original, psycopg2.OperationalError):
        return trouble_in(str(original))
    return Trouble.AWAY if isinstance(error, DBAPIError) and error.connection_invalidated else Trouble.OURS


def transient(error: BaseException) -> bool:
    """Tell whether trying again may cure an error, be it soon or at once."""
    trouble = trouble_of_error(error)
    return trouble is not None and trouble.cure in (Cure.WAIT, Cure.REPEAT)


def gave_up(error: BaseException) -> bool:
    """Tell whether the server ended one transaction and serves on: the next try may well succeed."""
    trouble = trouble_of_error(error)
    return trouble is not None and trouble.cure is Cure.REPEAT


def as_refusal(error: BaseException) -> StorageError | None:
    """What is said of an error that no further try cures; None for a mistake of ours, and for other people's."""
    trouble = trouble_of_error(error)
    if trouble is None or trouble.cure is Cure.BUG:
        return None
    sentence = SENTENCES[trouble].format(words=one_line(error))
    kinds = {Trouble.TABLES: SchemaMismatch, Trouble.RIGHTS: NotGranted}
    return kinds.get(trouble, Unreachable)(sentence)


def outage_seconds(environment: Mapping[str, str]) -> float:
    """How long an outage is waited out; tests have less time."""
    return number_in(environment, "OPTSELECT_OUTAGE_SECONDS", PATIENCE_SECONDS)


def again(
    call: Callable[[], Answer],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    on_wait: Callable[[BaseException], None] | None = None,
) -> Answer:
    """Call until it succeeds or fails for good; `on_wait` hears once that the database is away.

    Raises Unreachable when the patience ends, and at once what the server refuses. The call must be harmless to repeat
    as a whole: one transaction, or statements that find what an earlier try has left.
    """
    end, told, tries = time.monotonic() + patience_seconds, False, 0
    while True:
        try:
            return call()
        except Exception as error:
            if not transient(error):
                refuse(error)
                raise
            if time.monotonic() >= end:
                raise Unreachable(after_patience(error, patience_seconds)) from error
            waits, tries = pause_before(error, tries), tries + 1
            if on_wait is not None and not told and (waits >= RETRY_SECONDS or tries > MOST_SILENT_TRIES):
                on_wait(error)
                told = True
        time.sleep(waits)


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call like `again`, as long as the environment says, with one visible line about an outage."""
    return again(
        call,
        patience_seconds=outage_seconds(os.environ),
        on_wait=lambda error: log.warning("the database is away; waiting for it: %s", one_line(error)),
    )


def refuse(error: BaseException) -> None:
    """Raise what is to be said of an error where somebody must act first."""
    if (refusal := as_refusal(error)) is not None:
        raise refusal from error


def pause_before(error: BaseException, tries: int) -> float:
    """Seconds until the next try: a transaction that the server gave up is begun anew at once, by chance apart from others."""
    if not gave_up(error):
        return RETRY_SECONDS
    return random.uniform(0.0, min(RETRY_SECONDS, FIRST_PAUSE_SECONDS * 2**tries))


def after_patience(error: BaseException, seconds: float) -> str:
    """What is said once the patience has ended."""
    words, trouble = one_line(error), trouble_of_error(error)
    if trouble is Trouble.READ_ONLY:
        return f"The database took no writes for {seconds:.0f} s. {SENTENCES[trouble].format(words=words)}"
    if trouble is Trouble.CONFLICT:
        return (
            f"The database gave up each try within {seconds:.0f} s. {SENTENCES[trouble].format(words=words)}"
        )
    return f"The database did not come back within {seconds:.0f} s ({words}): start it again, then resume."


def one_line(error: BaseException) -> str:
    """Return the database's own words for an error, in one line."""
    row = causes(error)
    error = next((one for one in row if isinstance(one, DBAPIError | psycopg2.Error)), row[-1])
    if isinstance(error, PoolBusy):
        return "every connection of this process is in use"
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(original).strip().splitlines() or [type(original).__name__])[0].rstrip(".: ")


def child_environment(database: Database, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment in which child processes find the same database.

    No value holds the password: for a server it lies in a 0600 file of `folder`, named by PGPASSFILE; an embedded
    server is found by its home, whose own 0600 file keeps it.
    """
    child = {**environment, "OPTSELECT_HOME": str(database.home)}
    for key in ("OPTSELECT_STORAGE", "OPTSELECT_STORAGE_PASSWORD_FILE", "PGPASSWORD"):
        child.pop(key, None)
    if database.embedded:
        return child
    child["OPTSELECT_STORAGE"] = without_password(database.url.set(drivername="postgresql"))
    if database.url.password is not None:
        write_pgpass(database.url, folder / "pgpass")
        child["PGPASSFILE"] = str((folder / "pgpass").absolute())
    return child


def without_password(url: URL) -> str:
    """Write an address for a process that takes the password from a pgpass file."""
    # Not url.set(password=None), which leaves the password as it is.
    public = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return public.render_as_string(hide_password=False)


def write_pgpass(url: URL, path: Path) -> None:
    """Write the file from which libpq takes the password of a server, readable by this account only."""
    port = str(url.port) if url.port else "*"
    fields = [url.host or "*", port, "*", url.username or "*", url.password or ""]
    line = ":".join(field if field == "*" else escaped(field) for field in fields) + "\n"
    make_folder(path.parent)
    try:
        with replacing(path, private) as file:
            file.write(line.encode())
    except OSError as error:
        raise Unreachable(f"The password file {path} cannot be written: {error.strerror}.") from error


def escaped(field: str) -> str:
    r"""Escape one field of a .pgpass line.

    >>> print(escaped("a:b\\c"))
    a\:b\\c
    """
    return field.replace("\\", "\\\\").replace(":", "\\:")
