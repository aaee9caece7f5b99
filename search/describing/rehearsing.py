"""What does a problem come to, and how does each optimizer do on it, before anything is stored?

Asked of children that load TensorFlow: one describes the problem, one trains each optimizer for a moment.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from optselect.search.describing.child import Describer, training_options
from optselect.search.processes.forking import Zygote, closing
from optselect.search.processes.local import zygote_of
from optselect.search.spec.custom import asked_classes, resolved
from optselect.search.spec.study_spec import Request, StudySpec
from optselect.trials.terms.bundled import is_bundled, resolve_problem
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.rehearsal import Rehearsal


@dataclass(frozen=True)
class Outlook:
    """What a launch of the request would store and do."""

    problem: ProblemDescription
    spec: StudySpec
    loading_seconds: Mapping[str, float]
    """How long the user's file, data() and model() took."""


@contextlib.contextmanager
def rehearsing(problem: str) -> Iterator[Zygote | None]:
    """The process that imports TensorFlow once for both children."""
    zygote = zygote_of(Path(problem).stem, os.environ, ())
    with closing(zygote):
        yield zygote


def look_ahead(request: Request, rows: Path, zygote: Zygote | None) -> Outlook:
    """Describe the problem and resolve the request; raises ProblemError or InvalidInput."""
    problem = resolve_problem(request.problem)
    options = [*training_options(request), "--rows", str(rows)]
    with contextlib.closing(Describer.start(problem, zygote, asked_classes(request), options)) as child:
        description = child.result()
    spec = resolved(request, description, is_bundled(request.problem))
    return Outlook(description, spec, child.loading_seconds)


def rehearse(request: Request, outlook: Outlook, rows: Path, zygote: Zygote | None) -> Rehearsal:
    """Train the user's own optimizer and each of the study's that needs no argument; raises ProblemError."""
    names = [BASELINE, *outlook.spec.with_defaults]
    options = [*training_options(request), "--names", ",".join(names), "--epochs", str(outlook.spec.epochs)]
    options += ["--rows", str(rows), "--data", outlook.problem.data_hash]
    problem = resolve_problem(request.problem)
    classes = asked_classes(request)
    with contextlib.closing(Describer.start(problem, zygote, classes, options, "rehearse")) as child:
        return Rehearsal.from_json(child.answer())
