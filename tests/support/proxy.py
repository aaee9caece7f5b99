"""A proxy before a real Postgres: it spoils statements on their way, as a server does that fails over or gives up.

A spoilt statement is replaced by one that raises the wanted SQLSTATE, so that the answer, and what becomes of the
transaction, are the server's own. CUT breaks the connection when the server has answered, before anybody heard it.
"""

import contextlib
import itertools
import random
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import URL

CUT = "cut"
ENCRYPTION = (80877103, 80877104)  # what a client asks before it begins; a proxy says no

Spoil = Callable[[str], str | None]
"""What becomes of a statement: a SQLSTATE, CUT, or None: it passes."""


@dataclass
class Chance:
    """Spoils statements at random, with each of the codes in turn, until each has come so many times."""

    seed: int
    codes: Sequence[str]
    times: int = 3
    share: float = 0.15
    spoilt: list[tuple[str, str]] = field(default_factory=list)  # code and statement
    is_on: bool = False

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.seed), threading.Lock()
        self._left = itertools.chain.from_iterable([self.codes] * self.times)

    def __call__(self, statement: str) -> str | None:
        with self._lock:
            if not self.is_on or self._random.random() > self.share:
                return None
            code = next(self._left, None)
            if code is not None:
                self.spoilt.append((code, statement))
            return code


@contextlib.contextmanager
def spoiling(server: URL, spoil: Spoil) -> Iterator[URL]:
    """The address of a proxy before a server."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((server.host or "127.0.0.1", server.port or 5432)) as upstream:
                Session(self.request, upstream, spoil).run()

    class Proxy(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

    with Proxy(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield server.set(host="127.0.0.1", port=proxy.server_address[1])
        finally:
            proxy.shutdown()


class Session:
    """One connection of a client."""

    def __init__(self, client: socket.socket, upstream: socket.socket, spoil: Spoil) -> None:
        self.client, self.upstream, self.spoil = client, upstream, spoil
        self.cuts = threading.Event()

    def run(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.begin()
            threading.Thread(target=self.answer, daemon=True).start()
            while True:
                kind = receive(self.client, 1)
                self.upstream.sendall(self.passed(kind, receive_body(self.client)))
        close(self.upstream)

    def begin(self) -> None:
        """Hand over the first message, which has no kind."""
        while True:
            body = receive_body(self.client)
            if struct.unpack("!i", body[:4])[0] not in ENCRYPTION:
                self.upstream.sendall(framed(b"", body))
                return
            self.client.sendall(b"N")

    def passed(self, kind: bytes, body: bytes) -> bytes:
        if kind != b"Q":
            return framed(kind, body)
        code = self.spoil(body.rstrip(b"\0").decode(errors="replace"))
        if code == CUT:
            self.cuts.set()
        elif code is not None:
            body = f"DO $$ BEGIN RAISE EXCEPTION 'spoilt' USING ERRCODE = '{code}'; END $$\0".encode()
        return framed(kind, body)

    def answer(self) -> None:
        """Hand back what the server says; nothing more once the connection is cut."""
        with contextlib.suppress(OSError):
            while (words := self.upstream.recv(65536)) and not self.cuts.is_set():
                self.client.sendall(words)
        close(self.client)
        close(self.upstream)


def receive_body(source: socket.socket) -> bytes:
    (length,) = struct.unpack("!i", receive(source, 4))
    return receive(source, length - 4)


def receive(source: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = source.recv(count - len(got))
        if not piece:
            raise EOFError
        got += piece
    return got


def framed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
