"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optselect.search.executors.local import training_environment
from optselect.storage.studies import StoredStudy
from optselect.trials.description import ProblemDescription
from optselect.trials.errors import ProblemError

POLL_SECONDS = 0.02


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for its imports take seconds.

    After its answer it leaves the initial weights of the study's seeds, which no training process can make.
    """

    problem: Path
    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    answered: bool = False

    @classmethod
    def start(cls, problem: Path, weights: Path, seeds: Sequence[int]) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        command = [sys.executable, "-m", "optselect.trials.describe", str(problem)]
        command += ["--weights", str(weights), "--seeds", ",".join(map(str, seeds))]
        with (Path(folder.name) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--out", str(Path(folder.name) / "problem.json")],
                env={**os.environ, **training_environment("", os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the launcher's to answer
            )
        return cls(problem, process, folder)

    def result(self) -> ProblemDescription:
        """Wait for the description; raises ProblemError with the user's mistake in one line."""
        file = Path(self.folder.name) / "problem.json"
        while not file.exists():
            if self.process.poll() is not None and not file.exists():
                raise ProblemError(self._last_words())
            time.sleep(POLL_SECONDS)
        self.answered = True
        return ProblemDescription.from_json(json.loads(file.read_text("utf-8")))

    def close(self) -> None:
        """End the child where its answer is not needed any more, else let it finish; a second time does no harm."""
        if not self.answered:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def _last_words(self) -> str:
        lines = (Path(self.folder.name) / "log").read_text(errors="replace").strip().splitlines()
        return (
            f"{self.problem.name} could not be tried: its process ended with code {self.process.returncode}. "
            f"Its last line: {lines[-1] if lines else '(none)'}"
        )
