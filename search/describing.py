"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optselect.search.executors.local import training_environment
from optselect.storage.studies import StoredStudy
from optselect.trials.description import CustomDescription, ProblemDescription, read_optimizers
from optselect.trials.errors import ProblemError
from optselect.trials.reference import AskedClass, Reference, write_classes


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)


def describe_class(reference: Reference) -> CustomDescription:
    """Describe one class apart from any problem, in a child process that has TensorFlow; raises ProblemError."""
    describer = Describer.start(None, (AskedClass(reference),))
    try:
        return read_optimizers(describer.answer()["optimizers"])[reference.class_name]
    finally:
        describer.close()


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for its imports take seconds."""

    problem: Path | None  # None: classes alone
    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def start(cls, problem: Path | None, classes: Sequence[AskedClass] = ()) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        command = [sys.executable, "-m", "optselect.trials.describe", "--optimizers", write_classes(classes)]
        command += [] if problem is None else [str(problem)]
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
        return ProblemDescription.from_json(self.answer())

    def answer(self) -> dict[str, Any]:
        """Wait for what the child writes; raises ProblemError where it wrote nothing, or what is wrong."""
        self.process.wait()
        file = Path(self.folder.name) / "problem.json"
        if not file.exists():
            raise ProblemError(self._last_words())
        answer: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if "error" in answer:
            raise ProblemError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child where its answer is not needed any more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def _last_words(self) -> str:
        lines = (Path(self.folder.name) / "log").read_text(errors="replace").strip().splitlines()
        return (
            f"{self.problem.name if self.problem else 'The class'} could not be tried: its process ended with code {self.process.returncode}. "
            f"Its last line: {lines[-1] if lines else '(none)'}"
        )
