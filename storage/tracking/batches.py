"""How does MLflow get everything but what it refuses? A refused batch is halved until what is refused stands alone.

An error of MLflow's is one of three things: it is away and takes nothing now; it refuses all of one run; it refuses some
numbers, parameters or tags of one. Only the first may stop other runs.
"""

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg2 import errorcodes, errors
from sqlalchemy.exc import SQLAlchemyError

from optselect.storage.server.sqlstates import Trouble, trouble_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

AWAY = frozenset(
    {
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "CANCELLED",
        "ENDPOINT_NOT_FOUND",  # another server than MLflow's
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "CUSTOMER_UNAUTHORIZED",
    }
)
"""Codes of errors that every other run would meet, too."""

OF_A_PART = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})
NO_ANSWER = "API request to"
"""So begins what MLflow's client says where it was no MLflow that answered, or nobody; the code is then a guess."""

MOST_WORDS = 160  # characters


def send(client: "MlflowClient", run_id: str, entities: Sequence[Any]) -> list[str]:
    """Log metrics, parameters and tags of a run; returns what MLflow refuses of them, a line each.

    Raises what concerns more than a part: MLflow is away, or the run takes nothing.
    """
    try:
        client.log_batch(run_id, *by_kind(entities))
    except Exception as error:
        if not refuses_a_part(error) or not is_active(client, run_id):
            raise
        if len(entities) == 1:
            return [f"{kind_of(entities[0])} {entities[0].key}: {words_of(error)}"]
        middle = len(entities) // 2
        return [*send(client, run_id, entities[:middle]), *send(client, run_id, entities[middle:])]
    return []


def by_kind(entities: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """In the order of log_batch's arguments."""
    from mlflow.entities import Metric, Param, RunTag

    metrics, params, tags = (
        [one for one in entities if isinstance(one, kind)] for kind in (Metric, Param, RunTag)
    )
    return metrics, params, tags


def kind_of(entity: Any) -> str:
    return {"Metric": "metric", "Param": "parameter", "RunTag": "tag"}[type(entity).__name__]


def is_active(client: "MlflowClient", run_id: str) -> bool:
    """Whether a run takes anything: to one that was deleted MLflow says the same as to a bad name."""
    return bool(client.get_run(run_id).info.lifecycle_stage == "active")


def refuses_a_part(error: Exception) -> bool:
    """Tell an error that some entities of a request have caused."""
    return refuses_a_run(error) and getattr(error, "error_code", "") in OF_A_PART


def refuses_a_run(error: Exception) -> bool:
    """Tell an error that concerns the run of the request; the next one may be taken."""
    code = getattr(error, "error_code", "")  # MLflow's own errors have one
    words = str(error)
    return bool(code) and code not in AWAY and not words.startswith(NO_ANSWER) and not is_of_its_server(words)


def is_of_its_server(words: str) -> bool:
    """Tell whether MLflow passes on that its own database takes nothing now, which it calls a bad request.

    >>> is_of_its_server("(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction")
    True
    >>> is_of_its_server("(psycopg2.errors.NumericValueOutOfRange) bigint out of range")
    False
    """
    named = re.search(r"\(psycopg2\.errors\.(\w+)\)", words)
    codes = [code for name, code in vars(errorcodes).items() if name.isupper() and len(code) == len("25006")]
    found = (code for code in codes if named is not None and is_named(code, named[1]))
    return any(trouble_of(code) is not Trouble.OURS for code in found)


def is_named(code: str, name: str) -> bool:
    """Whether psycopg2 calls an error of this code so; warnings have no name."""
    with contextlib.suppress(KeyError):
        return bool(errors.lookup(code).__name__ == name)
    return False


def words_of(error: Exception) -> str:
    """What MLflow says, in one line."""
    return " ".join(str(error).split())[:MOST_WORDS]


def cause_in_short(error: Exception) -> str:
    """Why MLflow took nothing, without addresses (they may hold passwords) and the layers of urllib3.

    >>> cause_in_short(RuntimeError("Max retries exceeded (Caused by X: Failed to establish a new connection)"))
    'the server does not answer'
    """
    words = " ".join(str(error).split())
    if isinstance(error, SQLAlchemyError):
        return "its database does not answer"
    if "UNAUTHENTICATED" in words:
        return "it asks for a token (MLFLOW_TRACKING_TOKEN)"
    if "Max retries exceeded" in words or "timed out" in words:
        return "the server does not answer"
    return f"{type(error).__name__}: {words[:120]}"


def is_refusal(error: Exception) -> bool:
    """Tell MLflow's own errors, and those of its way to a server or database, from mistakes of ours."""
    return type(error).__module__.partition(".")[0] in (
        "mlflow",
        "requests",
        "urllib3",
        "sqlalchemy",
        "psycopg2",
    )
