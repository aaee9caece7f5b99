"""What is in an evidence bundle, from which a verdict is read where there is no database (bundle_reading.py)?

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
from typing import Any

import optselect
from optselect.search.documents import document_text
from optselect.search.report.bundle_reading import CURVES, FORMAT, MANIFEST, SOURCE, STUDY, TRIALS, curves_of
from optselect.search.report.flat_rows import csv_text, trial_rows
from optselect.search.report.html_page import html_page
from optselect.search.report.reading import Evidence
from optselect.search.report.verdict_page import answer_json
from optselect.search.spec.toml.writing import spec_toml
from optselect.search.verdict.findings import Findings, find
from optselect.storage.records.curves import EpochRow
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.jsonb import storable

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
    if isinstance(found, Findings):
        report["report.html"] = html_page(found, curves_of(curves, record.spec.objective))
    return {
        STUDY: as_json(study_facts(study)),
        "study.toml": spec_toml(record.spec, study.name),
        TRIALS: as_json([asdict(trial) for trial in record.trials]),
        "trials.csv": csv_text(trial_rows(study.name, record.trials)),
        CURVES: as_json({ticket: [asdict(row) for row in rows] for ticket, rows in curves.items()}),
        **report,
        **{f"{SOURCE}{name}": text for name, text in evidence.sources.items()},
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
