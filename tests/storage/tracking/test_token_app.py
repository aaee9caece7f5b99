"""What stands before MLflow's server lets nothing through without the token but whether it lives."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from optselect.storage.tracking.access import ServerNote, header_for, proof
from optselect.storage.tracking.token_app import Gate

TOKEN = "a-token-of-a-test"
HERE = {"server": ("127.0.0.1", 5000), "query_string": b"", "headers": [], "method": "GET", "path": "/"}


async def mlflow(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the curves"})


def answers(kind: str = "http", **request: Any) -> tuple[Any, dict[str, str], str]:
    """Status, headers and text; of a websocket the code with which it was closed."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(Gate(mlflow, TOKEN)({**HERE, "type": kind, **request}, receive, send))
    if kind == "websocket" and sent[0]["type"] == "websocket.close":
        return sent[0]["code"], {}, ""
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"].decode()


def given(**headers: str) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/2.0/mlflow/experiments/search",
        "/ajax-api/2.0/mlflow/runs/search",
        "/graphql",
        "/v1/traces",
        "/static-files/index.html",
        "/api/2.0/mlflow-artifacts/artifacts",
        "//health",
        "/health/",
        "/health/../graphql",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_is_answered_without_the_token(method: str, path: str) -> None:
    status, headers, text = answers(method=method, path=path)
    assert (status, headers["www-authenticate"], "the curves" in text) == (401, "Bearer", False)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer "},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer é"},
        {"cookie": f"optselect-5001={TOKEN}"},
        {"cookie": "optselect-5000="},
        {"cookie": 'optselect-5000="'},
        {"cookie": "\x00=;;é"},
    ],
)
def test_a_wrong_token_is_none(headers: dict[str, str]) -> None:
    assert answers(headers=given(**headers))[0] == 401


def test_it_may_be_asked_whether_it_lives() -> None:
    assert [answers(path=path)[0] for path in ("/health", "/version")] == [200, 200]


def test_a_program_and_a_browser_that_bring_it_are_let_through() -> None:
    for headers in ({"authorization": f"Bearer {TOKEN}"}, {"cookie": f"theme=dark; optselect-5000={TOKEN}"}):
        assert answers(headers=given(**headers))[2] == "the curves"


def test_the_printed_link_gives_a_cookie_and_an_address_without_the_token() -> None:
    for known in ([], given(cookie=f"optselect-5000={TOKEN}")):
        link = f"a=b%26c&token={TOKEN}".encode()
        status, headers, _ = answers(path="//evil.example/x", query_string=link, headers=known)
        assert (status, headers["location"]) == (303, "/evil.example/x?a=b%26c")
        assert headers["set-cookie"] == f"optselect-5000={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
        assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")


def test_a_person_reads_what_to_do_and_a_program_too() -> None:
    _, headers, page = answers(headers=given(accept="text/html,*/*"))
    assert headers["content-type"].startswith("text/html") and "optselect ui" in page
    assert "MLFLOW_TRACKING_TOKEN" in answers()[2]


def test_a_websocket_needs_it_too() -> None:
    assert answers("websocket")[0] == 1008
    assert answers("websocket", headers=given(authorization=f"Bearer {TOKEN}"))[2] == "the curves"


def test_the_server_proves_that_it_has_the_token_and_does_not_say_it() -> None:
    _, _, text = answers(path="/optselect-proof", query_string=b"question=why")
    assert text == proof(TOKEN, "why") != proof("another", "why")
    assert TOKEN not in text


def test_the_token_goes_to_the_server_of_the_home_alone() -> None:
    note = ServerNote("http://127.0.0.1:5000", "postgresql://…", TOKEN)
    assert header_for("http://localhost:5000/api/x", note) == {"Authorization": f"Bearer {TOKEN}"}
    for other in ("http://127.0.0.1:5001/", "https://127.0.0.1:5000/", "http://127.0.0.1.example.org:5000/"):
        assert header_for(other, note) == {}


def test_a_link_keeps_its_place_on_the_page() -> None:
    note = ServerNote("http://127.0.0.1:5000", "postgresql://…", TOKEN)
    assert note.link("http://127.0.0.1:5000/#/experiments/1?a=b") == (
        f"http://127.0.0.1:5000/?token={TOKEN}#/experiments/1?a=b"
    )


def test_mlflow_finds_the_gate_and_our_token_by_their_names() -> None:
    code = (
        "from importlib.metadata import entry_points as found;"
        "print(*(one.load().__name__ for group in ('mlflow.app', 'mlflow.request_auth_provider')"
        " for one in found(group=group, name='optselect-token')))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["create", "TokenAuth"]
