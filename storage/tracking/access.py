"""How do our own processes show the server of `optselect ui` that they are this account's? By the token of a 0600 file.

It is made anew with each server, and is in no command line, no environment, no log and no stored address.
"""

import hmac
import json
import os
import secrets
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optselect.storage.server.home import SERVER_NOTE, default_home
from optselect.storage.server.own_files import write_closed

AUTH = "optselect-token"
"""Under which MLflow's client knows `TokenAuth`, by an entry point of this package."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerNote:
    """What `optselect ui` leaves in the home for other commands."""

    address: str
    storage: str  # the database it shows, as it may be shown
    token: str | None = None  # None: it answers everybody

    @classmethod
    def read(cls, home: Path) -> "ServerNote | None":
        try:
            return cls(**json.loads((home / SERVER_NOTE).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, home: Path) -> None:
        (home / SERVER_NOTE).unlink(missing_ok=True)  # one of before may be open to others
        write_closed(home / SERVER_NOTE, json.dumps(asdict(self)).encode())

    def link(self, link: str) -> str:
        """A link into this server that a browser may open: the token goes before the fragment, and off at once."""
        if self.token is None:
            return link
        address, mark, fragment = link.partition("#")
        return f"{address.rstrip('/')}/?token={self.token}{mark}{fragment}"


def note_of(address: str, home: Path) -> ServerNote:
    """What is known of the server at an address: it may be the one of this home."""
    note = ServerNote.read(home)
    return note if note is not None and same_place(address, note.address) else ServerNote(address, "")


def same_place(one: str, other: str) -> bool:
    """Whether two addresses are one port of this machine.

    >>> same_place("http://localhost:5000/", "http://127.0.0.1:5000"), same_place("http://example.org:5000", "http://127.0.0.1:5000")
    (True, False)
    """
    parts = [urllib.parse.urlsplit(address) for address in (one, other)]
    return (
        all(part.scheme == "http" and part.hostname in LOOPBACK for part in parts)
        and parts[0].port == parts[1].port
    )


def new_token() -> str:
    return secrets.token_urlsafe(32)


def proof(token: str, question: str) -> str:
    """What only a server that has the token can answer: another account may listen on the port of a dead one."""
    return hmac.new(token.encode(), question.encode(), "sha256").hexdigest()


def offer_token(uri: str, environment: Any = os.environ) -> None:
    """Let MLflow's client ask `TokenAuth` in each request to a server of this machine."""
    if urllib.parse.urlsplit(uri).hostname in LOOPBACK:
        environment.setdefault("MLFLOW_TRACKING_AUTH", AUTH)


class TokenAuth:
    """A provider of MLflow's client; adds the token to requests to the server of this home, and to no others."""

    def get_name(self) -> str:
        return AUTH

    def get_auth(self) -> Any:
        return add_token


def add_token(request: Any) -> Any:
    """As `auth` of requests."""
    note = ServerNote.read(default_home(os.environ))
    if note is not None and note.token is not None and "Authorization" not in request.headers:
        request.headers.update(header_for(request.url, note))
    return request


def header_for(url: str, note: ServerNote) -> Mapping[str, str]:
    """The header of a request, where it goes to that server."""
    return {"Authorization": f"Bearer {note.token}"} if same_place(url, note.address) else {}
