"""How does a process without TensorFlow learn what a problem is? It asks a child, which answers as JSON."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from optselect.search.processes.cause_of_death import Ended, cause_of_death, telling_line
from optselect.search.processes.devices import Seat
from optselect.search.processes.forking import ForkedChild, Zygote
from optselect.search.processes.loading_lines import LoadingLines
from optselect.search.processes.local import training_environment
from optselect.search.spec.study_spec import Request
from optselect.search.voice import say
from optselect.storage.server.interpreter import own_python
from optselect.trials.terms.description import LOADING, CustomDescription, ProblemDescription, read_optimizers
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.reference import AskedClass, Reference, write_classes

POLL_SECONDS = 0.02
ANSWER = "problem.json"


def training_options(request: Request) -> list[str]:
    """How a child has to make models: as the trainings will."""
    jit = ["--jit"] if request.jit == "on" else []
    return jit + ([] if request.precision is None else ["--precision", request.precision])


def describe_class(reference: Reference) -> CustomDescription:
    """Describe one class apart from any problem, in a child process that has TensorFlow; raises ProblemError."""
    describer = Describer.start(None, None, (AskedClass(reference),))
    try:
        return read_optimizers(describer.answer()["optimizers"])[reference.class_name]
    finally:
        describer.close()


@dataclass
class Describer:
    """A child process that loads, builds and tries a problem; started early, for the imports take seconds.

    After its answer it leaves the initial weights of the study's seeds, which no training process can make.
    """

    problem: Path | None  # None: classes alone
    arguments: Sequence[str]  # of the child
    folder: tempfile.TemporaryDirectory[str]
    process: ForkedChild | subprocess.Popen[bytes]
    call: str = "describe"  # or "rehearse": a module of trials
    answered: bool = False
    loading_seconds: Mapping[str, float] = field(default_factory=dict)  # by part, as its answer says

    @classmethod
    def start(
        cls,
        problem: Path | None,
        zygote: Zygote | None,
        classes: Sequence[AskedClass] = (),
        options: Sequence[str] = (),
        call: str = "describe",
    ) -> "Describer":
        folder = tempfile.TemporaryDirectory(prefix="optselect-")
        start = spawned if zygote is None else partial(forked, zygote)
        arguments = arguments_of(problem, Path(folder.name), classes, options)
        return cls(problem, arguments, folder, start(arguments, Path(folder.name), call), call)

    def result(self) -> ProblemDescription:
        """Wait for the description; raises ProblemError with the user's mistake in one line."""
        return ProblemDescription.from_json(self.answer())

    def answer(self) -> dict[str, Any]:
        """Wait for what the child writes; raises ProblemError where it wrote nothing, or what is wrong."""
        folder = Path(self.folder.name)
        if not self._is_answered(folder) and isinstance(self.process, ForkedChild):
            self.process = spawned(self.arguments, folder, self.call)
        if not self._is_answered(folder):
            raise ProblemError(self._cause_of_death(self.process.wait()))
        self.answered = True
        answer: dict[str, Any] = json.loads((folder / ANSWER).read_text("utf-8"))
        if "error" in answer:
            raise ProblemError(answer["error"])
        self.loading_seconds = answer.pop(LOADING, {})
        return answer

    @property
    def is_at_work(self) -> bool:
        """Whether the child has neither answered nor ended."""
        return self.process.poll() is None and not (Path(self.folder.name) / ANSWER).exists()

    def _is_answered(self, folder: Path) -> bool:
        """Wait for the answer or the child's end, and say what takes it so long."""
        heard, told = LoadingLines(folder, "log"), ""
        while not (folder / ANSWER).exists():
            if self.process.poll() is not None:
                return (folder / ANSWER).exists()
            if (line := "; ".join(heard.now())) and line != told:
                say(line)
                told = line
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """End the child where its answer is not needed any more, else let it finish; a second time does no harm."""
        if self.process.poll() is None:
            if not self.answered:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()

    def _cause_of_death(self, code: int) -> str:
        words = telling_line((Path(self.folder.name) / "log").read_text(errors="replace"))
        what = self.problem.name if self.problem else "The class"
        return f"{what} could not be tried: {cause_of_death(Ended(code, words))}."


def forked(zygote: Zygote, arguments: Sequence[str], folder: Path, call: str) -> ForkedChild:
    """A child without TensorFlow's import."""
    environment = {**os.environ, **training_environment(Seat(), os.getpid())}
    return zygote.fork(call, list(arguments), environment, folder / "log")


def spawned(arguments: Sequence[str], folder: Path, call: str) -> subprocess.Popen[bytes]:
    """A child on its own feet."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            own_python(f"optselect.trials.describing.{call}", *arguments),
            env={**os.environ, **training_environment(Seat(), os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is the launcher's to answer
        )


def arguments_of(
    problem: Path | None, folder: Path, classes: Sequence[AskedClass], options: Sequence[str]
) -> list[str]:
    named = [] if problem is None else [str(problem)]
    return [*named, "--out", str(folder / ANSWER), "--optimizers", write_classes(classes), *options]
