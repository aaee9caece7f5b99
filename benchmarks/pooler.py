"""A pgbouncer in transaction mode in front of a throw-away server, for benchmarks and tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""Debian's; None: not installed."""
START_SECONDS = 20.0


@contextmanager
def pooled(url: URL, folder: Path, server_connections: int) -> Iterator[URL]:
    """The same database behind a pooler that holds so many connections to it at most, however many come.

    `folder` must be empty; where root starts it, the pooler's own account gets it.
    """
    port = free_port()
    (folder / "users").write_text(f'"{url.username}" "{url.password}"\n')
    (folder / "ini").write_text(f"""
[databases]
* = host={url.host} port={url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {server_connections}
max_client_conn = 2000
""")
    command = [str(PGBOUNCER), str(folder / "ini")]
    if os.geteuid() == 0:  # it refuses to serve as root
        hand_over(folder, pwd.getpwnam("nobody"))
        command[1:1] = ["-u", "nobody"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as pooler:
        try:
            await_port(port)
            yield url.set(port=port, host="127.0.0.1")
        finally:
            pooler.terminate()


def hand_over(folder: Path, account: pwd.struct_passwd) -> None:
    """Give a folder of the temporary directory to an account, and the way to it."""
    for place in (folder, *folder.iterdir()):
        os.chown(place, account.pw_uid, account.pw_gid)
    temporary = Path(tempfile.gettempdir()).resolve()
    for parent in folder.resolve().parents:
        if temporary in parent.parents:
            parent.chmod(parent.stat().st_mode | 0o011)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def await_port(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"pgbouncer must answer on port {port} within {START_SECONDS:.0f} s.")
