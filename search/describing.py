"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optselect.search.executors.forking import ForkedChild, Zygote
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
    describer = Describer.start(None, None, (AskedClass(reference),))
    try:
        return read_optimizers(describer.answer()["optimizers"])[reference.class_name]
    finally:
        describer.close()


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for the imports take seconds."""

    problem: Path | None  # None: classes alone
    classes: Sequence[AskedClass]
    folder: tempfile.TemporaryDirectory[str]
    process: ForkedChild | subprocess.Popen[bytes]

    @classmethod
    def start(
        cls, problem: Path | None, zygote: Zygote | None, classes: Sequence[AskedClass] = ()
    ) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        start = spawned if zygote is None else partial(forked, zygote)
        return cls(problem, classes, folder, start(problem, Path(folder.name), classes))

    def result(self) -> ProblemDescription:
        """Wait for the description; raises ProblemError with the user's mistake in one line."""
        return ProblemDescription.from_json(self.answer())

    def answer(self) -> dict[str, Any]:
        """Wait for what the child writes; raises ProblemError where it wrote nothing, or what is wrong."""
        code, folder = self.process.wait(), Path(self.folder.name)
        file = folder / "problem.json"
        if not file.exists() and isinstance(self.process, ForkedChild):
            self.process = spawned(self.problem, folder, self.classes)
            code = self.process.wait()
        if not file.exists():
            raise ProblemError(self._last_words(code))
        answer: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if "error" in answer:
            raise ProblemError(answer["error"])
        return answer

    def close(self) -> None:
        """End the child where its answer is not needed any more."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()

    def _last_words(self, code: int) -> str:
        lines = (Path(self.folder.name) / "log").read_text(errors="replace").strip().splitlines()
        return (
            f"{self.problem.name if self.problem else 'The class'} could not be tried: its process ended with code {code}. "
            f"Its last line: {lines[-1] if lines else '(none)'}"
        )


def forked(zygote: Zygote, problem: Path | None, folder: Path, classes: Sequence[AskedClass]) -> ForkedChild:
    """A child without TensorFlow's import."""
    environment = {**os.environ, **training_environment("", os.getpid())}
    return zygote.fork("describe", arguments_of(problem, folder, classes), environment, folder / "log")


def spawned(problem: Path | None, folder: Path, classes: Sequence[AskedClass]) -> subprocess.Popen[bytes]:
    """A child on its own feet."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "optselect.trials.describe", *arguments_of(problem, folder, classes)],
            env={**os.environ, **training_environment("", os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is the launcher's to answer
        )


def arguments_of(problem: Path | None, folder: Path, classes: Sequence[AskedClass]) -> list[str]:
    named = [] if problem is None else [str(problem)]
    return [*named, "--out", str(folder / "problem.json"), "--optimizers", write_classes(classes)]
