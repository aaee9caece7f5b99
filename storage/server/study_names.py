"""Which studies are there, for a shell that completes a name at the press of a key?

It asks a server that runs already, by psycopg2 alone, and is silent about whatever is wrong: nothing is started, and
neither SQLAlchemy nor Optuna is loaded.
"""

import contextlib
from collections.abc import Iterator, Mapping

import psycopg2

from optselect.storage.server.home import default_home, fallback_base, port_and_password, usual_base

CONNECT_SECONDS = 1  # libpq takes whole ones
NAMES = "SELECT name FROM optselect.study ORDER BY created_at DESC"


def completed_names(begun: str, environment: Mapping[str, str]) -> list[str]:
    """The names that begin so, the newest first."""
    for address in addresses(environment):
        with (
            contextlib.suppress(psycopg2.Error),
            contextlib.closing(psycopg2.connect(address, connect_timeout=CONNECT_SECONDS)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(NAMES)
            return [name for (name,) in cursor.fetchall() if name.startswith(begun)]
    return []


def addresses(environment: Mapping[str, str]) -> Iterator[str]:
    """Where studies may be: OPTSELECT_STORAGE, else the server of the home, wherever root may have put it."""
    if stored := environment.get("OPTSELECT_STORAGE"):
        yield stored.replace("postgresql+psycopg2://", "postgresql://", 1)
        return
    home = default_home(environment)
    for base in (usual_base(home), fallback_base(home)):
        with contextlib.suppress(OSError, IndexError, ValueError):
            port, password = port_and_password(base)
            yield f"host=127.0.0.1 port={port} user=postgres dbname=optselect sslmode=disable password='{password}'"
