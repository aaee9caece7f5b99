"""Who may see MLflow on a machine that several people use? Who brings the token: this stands before MLflow's server.

`mlflow server --app-name optselect-token` finds `create` by an entry point of this package. A browser brings the token
once, in the link that `optselect ui` prints, and a cookie from then on; programs send it as Bearer.
"""

import hmac
import html
import json
import os
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from optselect.storage.tracking.access import proof

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

TOKEN_FILE = "OPTSELECT_TOKEN_FILE"
OPEN = ("/health", "/version")
PROOF = "/optselect-proof"
NEEDED = "This MLflow server answers its own account only."
WAY_IN = (
    "Open the link that `optselect ui` printed; typed again, with the study's name, it prints the link again."
)
FOR_PROGRAMS = "Programs send the token of mlflow-server.json, in the home folder of optselect, by MLFLOW_TRACKING_TOKEN."


def create() -> "Gate":
    """MLflow's server behind a gate; runs in the process that serves."""
    from mlflow.server.fastapi_app import app

    return Gate(app, Path(os.environ[TOKEN_FILE]).read_text("utf-8"))


class Gate:
    """An ASGI application that hands on what brings the token."""

    def __init__(self, inner: App, token: str) -> None:
        self.inner, self.token = inner, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and scope["path"] in OPEN):
            await self.inner(scope, receive, send)
        elif kind == "http" and scope["path"] == PROOF:
            await reply(send, 200, proof(self.token, asked(scope).get("question", "")))
        elif kind == "http" and self.is_link(scope):
            await reply(
                send, 303, "", [("location", without_token(scope)), ("set-cookie", self.cookie(scope))]
            )
        elif self.is_known(scope):
            await self.inner(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refuse(scope, send)

    def is_link(self, scope: Scope) -> bool:
        """Whether a browser opens a link that was printed; the token then goes into a cookie, and off the address."""
        return scope["method"] == "GET" and self.is_token(asked(scope).get("token", ""))

    def is_known(self, scope: Scope) -> bool:
        """Whether a request brings the token, as a program or by a browser's cookie."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        kind, _, given = headers.get(b"authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(cookie_name(scope))
        except CookieError:
            return False
        return cookie is not None and self.is_token(cookie.value)

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def cookie(self, scope: Scope) -> str:
        """For this browser's session, unseen by scripts, and by pages of other sites."""
        return f"{cookie_name(scope)}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def cookie_name(scope: Scope) -> str:
    """One for each port: cookies know none."""
    return f"optselect-{(scope.get('server') or ('', 0))[1]}"


def asked(scope: Scope) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(scope["query_string"].decode("latin-1")))


def without_token(scope: Scope) -> str:
    """The address of a request on this server, whatever its path holds: two slashes would begin another's name."""
    rest = urllib.parse.urlencode({name: value for name, value in asked(scope).items() if name != "token"})
    path = "/" + urllib.parse.quote(scope["path"].lstrip("/\\"))
    return f"{path}?{rest}" if rest else path


async def refuse(scope: Scope, send: Send) -> None:
    """Say what to do: to a person as a page, to a program as MLflow's errors are."""
    accepted = next((value for name, value in scope["headers"] if name.lower() == b"accept"), b"")
    if b"text/html" in accepted:
        await reply(send, 401, PAGE, [("content-type", "text/html; charset=utf-8"), *ASKS])
    else:
        words = {"error_code": "UNAUTHENTICATED", "message": f"{NEEDED} {FOR_PROGRAMS}"}
        await reply(send, 401, json.dumps(words), [("content-type", "application/json"), *ASKS])


ASKS = [("www-authenticate", "Bearer")]
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>A token is needed</title>'
    '<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto; line-height: 1.5">'
    f"<h1>A token is needed</h1><p>{html.escape(NEEDED)}</p><p>{html.escape(WAY_IN)}</p>"
    f"<p>{html.escape(FOR_PROGRAMS)}</p></body></html>"
)


async def reply(send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """Answer without MLflow; nothing of it is kept, and its address is told to nobody."""
    body = text.encode()
    told = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        **dict(headers),
    }
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
