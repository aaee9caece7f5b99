"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optselect.search.executors.devices import Seat
from optselect.search.executors.forking import ForkedChild, Zygote
from optselect.search.executors.local import training_environment
from optselect.storage.studies import StoredStudy
from optselect.trials.description import ProblemDescription
from optselect.trials.errors import ProblemError


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for the imports take seconds."""

    problem: Path
    folder: tempfile.TemporaryDirectory[str]
    process: ForkedChild | subprocess.Popen[bytes]

    @classmethod
    def start(cls, problem: Path, zygote: Zygote | None) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        start = spawned if zygote is None else partial(forked, zygote)
        return cls(problem, folder, start(problem, Path(folder.name)))

    def result(self) -> ProblemDescription:
        """Wait for the description; raises ProblemError with the user's mistake in one line."""
        code, folder = self.process.wait(), Path(self.folder.name)
        file = folder / "problem.json"
        if not file.exists() and isinstance(self.process, ForkedChild):
            self.process = spawned(self.problem, folder)
            code = self.process.wait()
        if not file.exists():
            raise ProblemError(self._last_words(code))
        return ProblemDescription.from_json(json.loads(file.read_text("utf-8")))

    def close(self) -> None:
        """End the child where its answer is not needed any more."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()

    def _last_words(self, code: int) -> str:
        lines = (Path(self.folder.name) / "log").read_text(errors="replace").strip().splitlines()
        return (
            f"{self.problem.name} could not be tried: its process ended with code {code}. "
            f"Its last line: {lines[-1] if lines else '(none)'}"
        )


def forked(zygote: Zygote, problem: Path, folder: Path) -> ForkedChild:
    """A child without TensorFlow's import."""
    environment = {**os.environ, **training_environment(Seat(), os.getpid())}
    return zygote.fork("describe", arguments_of(problem, folder), environment, folder / "log")


def spawned(problem: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A child on its own feet."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "optselect.trials.describe", *arguments_of(problem, folder)],
            env={**os.environ, **training_environment(Seat(), os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is the launcher's to answer
        )


def arguments_of(problem: Path, folder: Path) -> list[str]:
    return [str(problem), "--out", str(folder / "problem.json")]
