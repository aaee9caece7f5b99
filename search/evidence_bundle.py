"""What is in an evidence bundle, and how is a verdict read from it where there is no database?

A zip of plain files: the study, every trial and epoch, the problem's source, versions and seeds, the report as page,
JSON and code. Its manifest has the hash of each file. A reader takes none of the report's words for granted: the
verdict is computed again from the trials.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optselect
from optselect.search.documents import document_text
from optselect.search.errors import InvalidInput
from optselect.search.findings import Record, find
from optselect.search.flat_rows import csv_text, trial_rows
from optselect.search.named_file import read_named
from optselect.search.report import Evidence, html_page
from optselect.search.spec import StudySpec
from optselect.search.spec_file import spec_toml
from optselect.search.verdict_page import answer_json
from optselect.storage.curves import EpochRow
from optselect.storage.jsonb import numbers, storable
from optselect.storage.overview import TrialRow
from optselect.storage.studies import StoredStudy
from optselect.trials.description import ProblemDescription

if TYPE_CHECKING:
    from optselect.search.insight import Curves

FORMAT = 1
MANIFEST = "manifest.json"
AFTER_ZERO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name: the same study gives the same bytes."""


def bundle_of(study: StoredStudy, evidence: Evidence, curves: Mapping[int, Sequence[EpochRow]]) -> bytes:
    """The file's bytes."""
    files = {name: text.encode() for name, text in contents(study, evidence, curves).items()}
    manifest = {
        "format": FORMAT,
        "study": study.name,
        "optselect": optselect.__version__,
        "versions": dict(study.versions),
        "data_sha256": study.data_hash,
        "source_sha256": study.bundle_sha256,
        "seeds": seeds_of(evidence.record.trials),
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in files.items()},
    }
    return zipped({MANIFEST: as_json(manifest).encode(), **files})


def seeds_of(trials: Sequence[TrialRow]) -> dict[str, list[int]]:
    """The seeds of each phase."""
    return {
        phase: sorted({trial.seed for trial in trials if trial.phase == phase})
        for phase in dict.fromkeys(trial.phase for trial in trials)
    }


def contents(
    study: StoredStudy, evidence: Evidence, curves: Mapping[int, Sequence[EpochRow]]
) -> dict[str, str]:
    """The text of each file by its path."""
    record = evidence.record
    found = find(record)
    report = {"report.json": document_text(answer_json(study.name, found))}
    if not isinstance(found, str):
        report["report.html"] = html_page(found, curves_of(curves, record.spec.objective))
    return {
        "study.json": as_json(study_facts(study)),
        "study.toml": spec_toml(record.spec, study.name),
        "trials.json": as_json([asdict(trial) for trial in record.trials]),
        "trials.csv": csv_text(trial_rows(study.name, record.trials)),
        "curves.json": as_json({ticket: [asdict(row) for row in rows] for ticket, rows in curves.items()}),
        **report,
        **{f"source/{name}": text for name, text in evidence.sources.items()},
    }


KEPT = ("name", "spec", "spec_version", "problem", "objective", "direction", "budget", "state", "decisions")


def study_facts(study: StoredStudy) -> dict[str, Any]:
    """All of a study that its verdict rests on, and when it was."""
    moments = {
        name: None if (at := getattr(study, name)) is None else at.isoformat()
        for name in ("created_at", "finished_at")
    }
    return {name: getattr(study, name) for name in KEPT} | moments


def as_json(value: Any) -> str:
    return json.dumps(storable(value), indent=1, allow_nan=False)


def zipped(files: Mapping[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, AFTER_ZERO), content, compress_type=zipfile.ZIP_DEFLATED)
    return body.getvalue()


# --- reading ------------------------------------------------------------------------------------------


def bundled_evidence(file: Path) -> Evidence:
    """What a bundle has of its study; raises InvalidInput where it is none, or not what was written."""
    files = whole_files(file)
    study = json.loads(files["study.json"])
    record = Record(
        name=study["name"],
        spec=StudySpec.model_validate(study["spec"]),
        problem=ProblemDescription.from_json(study["problem"]),
        budget=study["budget"],
        finished=study["state"] == "finished",
        decisions=study["decisions"],
        trials=[read_trial(row) for row in json.loads(files["trials.json"])],
    )
    sources = {
        name.removeprefix("source/"): body.decode()
        for name, body in files.items()
        if name.startswith("source/")
    }
    return Evidence(
        record,
        sources,
        lambda: curves_of(read_epochs(json.loads(files["curves.json"])), record.spec.objective),
    )


def whole_files(file: Path) -> dict[str, bytes]:
    """Every file that the manifest names, each with its hash."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_named(file))) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            found = {name: archive.read(name) for name in manifest["files"]}
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"{file} must be a bundle that `optselect export STUDY` wrote. Received: {error}."
        ) from error
    if manifest.get("format") != FORMAT:
        raise InvalidInput(
            f"{file} must be a bundle of format {FORMAT}. Received: format {manifest.get('format')}. Read it with "
            f"optselect {manifest.get('optselect')}."
        )
    changed = [
        name for name, body in found.items() if hashlib.sha256(body).hexdigest() != manifest["files"][name]
    ]
    if changed:
        raise InvalidInput(
            f"{file} must be as it was written. Received: another {changed[0]}. Export the study again."
        )
    return found


def read_trial(row: dict[str, Any]) -> TrialRow:
    """A trial as it was; NaN and infinities are words in JSON."""
    return TrialRow(**{**row, "result": numbers(row["result"])})


def read_epochs(stored: Mapping[str, Sequence[dict[str, Any]]]) -> dict[int, list[EpochRow]]:
    """The epochs by ticket, as they were."""
    return {
        int(ticket): [EpochRow(**{**row, "metrics": numbers(row["metrics"])}) for row in rows]
        for ticket, rows in stored.items()
    }


def curves_of(epochs: Mapping[int, Sequence[EpochRow]], objective: str) -> "Curves":
    """The objective by ticket and epoch."""
    return {
        ticket: {row.epoch: row.metrics[objective] for row in rows if objective in row.metrics}
        for ticket, rows in epochs.items()
    }
