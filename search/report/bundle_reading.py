"""How is a verdict read from an evidence bundle? It came from somebody else, so nothing in it is taken for granted.

Each file must be what its hash says, each value of its type and in its bounds. Fields that a later version has added
are read over; a later format is refused. Whatever else is wrong is the bundle's fault, said in one line.
"""

import contextlib
import copy
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from optselect.search.errors import InvalidInput, SearchError
from optselect.search.named_file import read_named
from optselect.search.report.reading import Evidence
from optselect.search.spec.study_spec import StudySpec
from optselect.search.verdict.record import Record
from optselect.storage.errors import StorageError
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.overview import STATES, TrialRow
from optselect.storage.server.jsonb import NOT_IN_JSON
from optselect.trials.terms.configuration import BASELINE
from optselect.trials.terms.description import ProblemDescription
from optselect.trials.terms.errors import TrialsError

if TYPE_CHECKING:
    from optselect.search.verdict.insight import Curves

FORMAT = 1
MANIFEST = "manifest.json"
STUDY, TRIALS, CURVES, SOURCE = "study.json", "trials.json", "curves.json", "source/"
MOST_BYTES = 2**30
"""Of all files unpacked; a zip may hold a thousand times what it weighs."""
BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted; nested too deeply; packed in a way that is not known here
    LookupError,
    ValueError,  # no JSON, no UTF-8; of pydantic's too
    TypeError,
    AttributeError,
    ArithmeticError,
)
"""What reading raises where bytes are not what they must be."""


class Manifest(BaseModel):
    """What the bundle says of itself."""

    model_config = ConfigDict(extra="ignore", strict=True)

    format: int
    files: dict[str, str]
    optselect: str = "of a later version"


class StudyFacts(BaseModel):
    """All of a study that its verdict rests on."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str
    spec: dict[str, Any]
    problem: dict[str, Any]
    budget: Annotated[int, Field(ge=0)]
    state: str
    decisions: list[dict[str, Any]]


TRIAL_ROWS = TypeAdapter(list[TrialRow])
EPOCH_ROWS = TypeAdapter(dict[str, list[EpochRow]])
PROBLEM = TypeAdapter(ProblemDescription)


def bundled_evidence(file: Path) -> Evidence:
    """What a bundle has of its study; raises InvalidInput where it is none, or not what was written."""
    files = whole_files(file)
    with reading(file):
        record = read_record(files)
        sources = {
            name.removeprefix(SOURCE): body.decode()
            for name, body in files.items()
            if name.startswith(SOURCE)
        }
        epochs = read_epochs(parsed(files[CURVES])) if CURVES in files else {}
    return Evidence(record, sources, lambda: curves_of(epochs, record.spec.objective))


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Say of whatever is wrong with a bundle's bytes that it is the bundle's."""
    try:
        yield
    except BROKEN as error:
        raise InvalidInput(
            f"{file} must be a bundle that `optselect export STUDY` wrote. Received: {cause(error)}. Export it again."
        ) from error


@contextlib.contextmanager
def judging(file: Path | None) -> Iterator[None]:
    """Say of what is wrong with values, each of which may be right by itself, that it is the bundle's; None: no bundle."""
    try:
        yield
    except (SearchError, StorageError, TrialsError, BrokenPipeError):
        raise
    except Exception as error:
        if file is None:
            raise
        raise InvalidInput(
            f"{file} must hold a study whose parts fit together, as `optselect export STUDY` writes it. Received: "
            f"{cause(error)}. Export it again; where optselect wrote it, that is a bug of ours, and --debug shows where."
        ) from error


def cause(error: BaseException) -> str:
    """An error in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"]
    words = str(error).strip() or type(error).__name__
    if isinstance(error, KeyError):
        words = f"no {words}"
    return " ".join(words.split())[:200].rstrip(".")


# --- the files ----------------------------------------------------------------------------------------


def whole_files(file: Path) -> dict[str, bytes]:
    """Every file that the manifest names, each with its hash."""
    body = read_named(file)
    with reading(file), zipfile.ZipFile(io.BytesIO(body)) as archive:
        demand_bounds(archive)
        told = parsed(archive.read(MANIFEST))
        if isinstance(told, dict) and told.get("format") != FORMAT and "format" in told:
            refuse_format(file, told)
        manifest = Manifest.model_validate(told)
        found = {name: archive.read(name) for name in manifest.files}
    changed = [n for n, content in found.items() if hashlib.sha256(content).hexdigest() != manifest.files[n]]
    if changed:
        raise InvalidInput(
            f"{file} must be as it was written. Received: another {changed[0]}. Export the study again."
        )
    return found


def demand_bounds(archive: zipfile.ZipFile) -> None:
    """Refuse what would fill the memory, and two files of one name; raises ValueError."""
    infos = archive.infolist()
    if (size := sum(info.file_size for info in infos)) > MOST_BYTES:
        raise ValueError(f"{size / 1e9:.1f} GB unpacked, more than {MOST_BYTES / 1e9:.1f}")
    if len({info.filename for info in infos}) < len(infos):
        raise ValueError("two files of one name")


def refuse_format(file: Path, manifest: Mapping[str, Any]) -> None:
    raise InvalidInput(
        f"{file} must be a bundle of format {FORMAT}. Received: format {str(manifest['format'])[:40]}. Read it with "
        f"optselect {str(manifest.get('optselect', 'of a later version'))[:40]}."
    )


def parsed(body: bytes) -> Any:
    """JSON as it is written here: no key twice, no bare NaN; raises ValueError."""
    return json.loads(body.decode(), object_pairs_hook=once, parse_constant=no_number)


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise ValueError(f"{twice[:40]!r} twice in one object")
    return found


def no_number(word: str) -> Any:
    raise ValueError(f"{word}, which is no JSON")


# --- the study ----------------------------------------------------------------------------------------


def read_record(files: Mapping[str, bytes]) -> Record:
    """All that a report needs; raises one of BROKEN."""
    facts = StudyFacts.model_validate(parsed(files[STUDY]))
    spec = read_spec(facts.spec)
    trials = TRIAL_ROWS.validate_json(json.dumps(parsed(files[TRIALS])), strict=True)
    check_trials(trials, spec)
    return Record(
        name=facts.name,
        spec=spec,
        problem=PROBLEM.validate_python(facts.problem),
        budget=facts.budget,
        finished=facts.state == "finished",
        decisions=facts.decisions,
        trials=[with_numbers(trial) for trial in trials],
    )


def read_spec(stored: dict[str, Any]) -> StudySpec:
    """A spec without the fields that only a later version knows."""
    try:
        return StudySpec.model_validate(stored)
    except ValidationError as error:
        unknown = [one["loc"] for one in error.errors() if one["type"] == "extra_forbidden"]
        if not unknown:
            raise
    known = copy.deepcopy(stored)
    for *way, name in unknown:
        part: Any = known
        for step in way:
            part = part[step]
        part.pop(name, None)
    return StudySpec.model_validate(known)


def check_trials(trials: Sequence[TrialRow], spec: StudySpec) -> None:
    """Refuse rows that no study has; raises ValueError."""
    optimizers = {*spec.optimizers, BASELINE, "any", ""}
    for trial in trials:
        counts = (trial.ticket, trial.ord, trial.epochs, trial.attempts, trial.seed, trial.trial or 0)
        times = [
            one for one in (trial.value, trial.seconds, trial.started, trial.finished) if one is not None
        ]
        if min(counts) < 0 or not all(map(math.isfinite, times)):
            raise ValueError(f"{TRIALS}: ticket {trial.ticket} has a number that cannot be")
        if trial.state not in STATES:
            raise ValueError(f"{TRIALS}: ticket {trial.ticket} is {trial.state[:40]!r}")
        if trial.optimizer not in optimizers:
            raise ValueError(f"{TRIALS}: the study does not try {trial.optimizer[:40]!r}")
        if trial.state == "complete" and trial.value is None:
            raise ValueError(f"{TRIALS}: ticket {trial.ticket} is complete without a value")
    if len({trial.ticket for trial in trials}) < len(trials):
        raise ValueError(f"{TRIALS}: a ticket stands there twice")


def with_numbers(trial: TrialRow) -> TrialRow:
    """A trial whose results are numbers; NaN and infinities are words in JSON."""
    return TrialRow(**{**vars(trial), "result": {name: number(one) for name, one in trial.result.items()}})


def read_epochs(stored: Any) -> dict[int, list[EpochRow]]:
    """The epochs by ticket, as they were."""
    readable = {
        ticket: [
            {**row, "metrics": {name: number(one) for name, one in row["metrics"].items()}} for row in rows
        ]
        for ticket, rows in stored.items()
    }
    rows = EPOCH_ROWS.validate_python(readable)
    if any(row.epoch < 1 for curve in rows.values() for row in curve):
        raise ValueError(f"{CURVES}: an epoch before the first one")
    return {int(ticket): curve for ticket, curve in rows.items()}


def number(stored: Any) -> float:
    """A number of a metric; raises ValueError."""
    if isinstance(stored, str) and stored in NOT_IN_JSON:
        return NOT_IN_JSON[stored]
    if isinstance(stored, (int, float)) and not isinstance(stored, bool):
        return float(stored)
    raise ValueError(f"{str(stored)[:40]!r} where a number must be")


def curves_of(epochs: Mapping[int, Sequence[EpochRow]], objective: str) -> "Curves":
    """The objective by ticket and epoch."""
    return {
        ticket: {row.epoch: row.metrics[objective] for row in rows if objective in row.metrics}
        for ticket, rows in epochs.items()
    }
