"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optselect.search.executors.forking import ForkedChild, Zygote
from optselect.search.executors.local import training_environment
from optselect.storage.studies import StoredStudy
from optselect.trials.description import ProblemDescription
from optselect.trials.errors import ProblemError

POLL_SECONDS = 0.02
ANSWER = "problem.json"


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for the imports take seconds.

    After its answer it leaves the initial weights of the study's seeds, which no training process can make.
    """

    problem: Path
    folder: tempfile.TemporaryDirectory[str]
    options: Sequence[str]
    process: ForkedChild | subprocess.Popen[bytes]
    answered: bool = False

    @classmethod
    def start(cls, problem: Path, options: Sequence[str], zygote: Zygote | None) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        start = spawned if zygote is None else partial(forked, zygote)
        return cls(problem, folder, options, start(problem, Path(folder.name), options))

    def result(self) -> ProblemDescription:
        """Wait for the description; raises ProblemError with the user's mistake in one line."""
        folder = Path(self.folder.name)
        if not self._waits_for_answer(folder) and isinstance(self.process, ForkedChild):
            self.process = spawned(self.problem, folder, self.options)
        if not self._waits_for_answer(folder):
            raise ProblemError(self._last_words(self.process.wait()))
        self.answered = True
        return ProblemDescription.from_json(json.loads((folder / ANSWER).read_text("utf-8")))

    def _waits_for_answer(self, folder: Path) -> bool:
        while not (folder / ANSWER).exists():
            if self.process.poll() is not None:
                return (folder / ANSWER).exists()
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """End the child where its answer is not needed any more, else let it finish; a second time does no harm."""
        if self.process.poll() is None:
            if not self.answered:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()

    def _last_words(self, code: int) -> str:
        lines = (Path(self.folder.name) / "log").read_text(errors="replace").strip().splitlines()
        return (
            f"{self.problem.name} could not be tried: its process ended with code {code}. "
            f"Its last line: {lines[-1] if lines else '(none)'}"
        )


def forked(zygote: Zygote, problem: Path, folder: Path, options: Sequence[str]) -> ForkedChild:
    """A child without TensorFlow's import."""
    environment = {**os.environ, **training_environment("", os.getpid())}
    return zygote.fork("describe", arguments_of(problem, folder, options), environment, folder / "log")


def spawned(problem: Path, folder: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """A child on its own feet."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "optselect.trials.describe", *arguments_of(problem, folder, options)],
            env={**os.environ, **training_environment("", os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is the launcher's to answer
        )


def arguments_of(problem: Path, folder: Path, options: Sequence[str]) -> list[str]:
    return [str(problem), "--out", str(folder / ANSWER), *options]
