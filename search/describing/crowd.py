"""How are many optimizer classes of the user's own tried before a study? Side by side, with a line on how far it is.

Each is trained for some steps, which takes about a second: a process for each core tries its share of them, while one
more describes the problem. Few are tried by that one itself.
"""

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optselect.search.describing.child import ANSWER, Describer
from optselect.search.processes.forking import Zygote
from optselect.search.voice import say
from optselect.trials.terms.description import ProblemDescription, read_optimizers
from optselect.trials.terms.reference import AskedClass, tried_file

FEW = 8
"""So many classes are no work for a second process, which must load the problem too."""
MOST_PROCESSES = 8
LINE_SECONDS = 5.0


def describer_of_many(
    problem: Path, zygote: Zygote | None, classes: Sequence[AskedClass], options: Sequence[str]
) -> "Describer | Crowd":
    """What describes a problem and tries its classes, started."""
    if len(classes) <= FEW:
        return Describer.start(problem, zygote, classes, options)
    described = Describer.start(problem, zygote, classes, [*options, "--tried-elsewhere"])
    parts = [
        Describer.start(problem, zygote, share, [*options_of_a_try(options), "--only-classes"])
        for share in shares(classes, min(cores(), MOST_PROCESSES))
    ]
    return Crowd(described, parts, len(classes))


def shares(classes: Sequence[AskedClass], processes: int) -> list[Sequence[AskedClass]]:
    """The classes in their order, in as many parts of about the same length.

    >>> shares("abcdefg", 3)
    ['ab', 'cd', 'efg']
    """
    ends = [len(classes) * number // processes for number in range(processes + 1)]
    return [classes[begin:end] for begin, end in itertools.pairwise(ends) if begin < end]


def options_of_a_try(options: Sequence[str]) -> list[str]:
    """Those of the options that concern how a model is made; the other process makes the weights.

    >>> options_of_a_try(["--weights", "w", "--seeds", "0,1", "--jit"])
    ['--jit']
    """
    kept, place = [], 0
    while place < len(options):
        if options[place] in ("--weights", "--seeds"):
            place += 2
            continue
        kept.append(options[place])
        place += 1
    return kept


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Crowd:
    """One child that describes the problem, and several that try its classes."""

    described: Describer
    parts: Sequence[Describer]
    classes: int

    def result(self) -> ProblemDescription:
        """Wait for all; raises ProblemError with the first mistake, in the order in which the classes were named."""
        self._say_until_answered()
        description = self.described.result()
        found = [read_optimizers(part.answer()["optimizers"]) for part in self.parts]
        optimizers = {name: one for part in found for name, one in part.items()}
        return dataclasses.replace(description, optimizers=optimizers)

    def close(self) -> None:
        """End all; a second time does no harm."""
        for child in (self.described, *self.parts):
            child.close()

    def _say_until_answered(self) -> None:
        due = time.monotonic() + LINE_SECONDS
        while any(part.is_at_work for part in self.parts):
            if time.monotonic() >= due:
                due = time.monotonic() + LINE_SECONDS
                say(self.line)
            time.sleep(0.1)

    @property
    def line(self) -> str:
        """How far it is."""
        tried = sum(map(tried_by, self.parts))
        return f"trying your own optimizers, {len(self.parts)} at a time: {tried} of {self.classes} are tried"


def tried_by(part: Describer) -> int:
    """How many classes a child has tried so far."""
    with contextlib.suppress(OSError, ValueError):  # it has not begun
        return int(tried_file(Path(part.folder.name) / ANSWER).read_text())
    return 0
