"""What may a worker's role do in the database? Read and write rows; it makes, alters and drops no table.

The role itself is made by whoever runs the server: CREATE ROLE worker LOGIN PASSWORD '...'.
"""

from contextlib import closing

from sqlalchemy.engine import URL

from optselect.storage.errors import NotFound
from optselect.storage.schema.initialise import ensure_mlflow, initialise, mlflow_url
from optselect.storage.server.database import Database, connect

# What tells which version made the tables belongs to their owner: a worker that could write it could stop all others.
OWNERS = {"optselect": ("alembic_version", "meta"), "optuna": ("alembic_version", "version_info")}
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


def grant_work(database: Database, role: str) -> None:
    """Give a role all that launch, resume and worker need on tables that are there; harmless to repeat.

    Tables that later versions make are covered too. Raises NotFound where there is no such role.
    """
    initialise(database)
    mlflow = ensure_mlflow(database)
    demand_role(database.url, role)
    run(database.url, [line for schema in OWNERS for line in grants(schema, role, OWNERS[schema])])
    run(mlflow, grants("mlflow" if mlflow_is_schema(database) else "public", role, ("alembic_version",)))


def mlflow_is_schema(database: Database) -> bool:
    """Whether MLflow's tables lie in our own database."""
    return mlflow_url(database).database == database.url.database


def demand_role(url: URL, role: str) -> None:
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        if cursor.fetchone() is None:
            raise NotFound(
                f"The server has no role \"{role}\". Make it first: CREATE ROLE {quoted(role)} LOGIN PASSWORD '...'"
            )


def grants(schema: str, role: str, read_only: tuple[str, ...]) -> list[str]:
    """The statements for one schema.

    >>> grants("optuna", "ann", ("version_info",))[-1]
    'REVOKE INSERT, UPDATE, DELETE ON optuna.version_info FROM "ann"'
    """
    name = quoted(role)
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"GRANT {RIGHTS} ON ALL TABLES IN SCHEMA {schema} TO {name}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {RIGHTS} ON TABLES TO {name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {name}",
        *(f"REVOKE INSERT, UPDATE, DELETE ON {schema}.{table} FROM {name}" for table in read_only),
    ]


def run(url: URL, statements: list[str]) -> None:
    """All of them, or none."""
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
