"""What takes a process so long before it trains? The lines of its log in which it says what of the user's code it loads."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

LOOK_SECONDS = 0.5
LINE = re.compile(r"\bloading .+ since \d+ s$")
"""As trials/data/loading.py writes it, behind whatever a log puts in front."""


def said_in(line: str) -> str:
    """What a line of a log says of loading, or nothing.

    >>> said_in("06:10:33 INFO loading data() since 60 s")
    'loading data() since 60 s'
    """
    found = LINE.search(line)
    return found[0] if found else ""


@dataclass
class LoadingLines:
    """Reads now and then what is new in the logs of a folder."""

    folder: Path
    names: str  # of the logs, as a pattern
    _read: dict[Path, int] = field(default_factory=dict)
    _last: dict[Path, str] = field(default_factory=dict)
    _due: float = 0.0

    def __post_init__(self) -> None:
        self._read = {log: log.stat().st_size for log in self.folder.glob(self.names)}  # of earlier processes

    def now(self) -> list[str]:
        """What the processes load whose last words were of that; each once."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LOOK_SECONDS
            for log in sorted(self.folder.glob(self.names)):
                if lines := self._new_in(log):
                    self._last[log] = said_in(lines[-1])
        return list(dict.fromkeys(filter(None, self._last.values())))

    def _new_in(self, log: Path) -> list[str]:
        """Whole lines only."""
        try:
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                whole, end, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read[log] = self._read.get(log, 0) + len(whole) + len(end)
        return whole.decode(errors="replace").splitlines() if end else []
