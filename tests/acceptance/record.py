"""python -m tests.acceptance.record STUDY: keep what the report of a study is made of, for the pages that show it.

It is what `optselect export` writes, without curves and pages, which are a hundred times as large, and without the
folders of the machine. A test (test_pages.py) then says which words and numbers the pages must show.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from optselect.search.report.bundle_reading import FORMAT, MANIFEST, whole_files
from optselect.search.report.evidence_bundle import as_json, zipped

KEPT = Path(__file__).with_name("kept")


def record(study: str) -> Path:
    """Write kept/STUDY.zip from the study of this name in the reader's own database."""
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "study.zip"
        subprocess.run([sys.executable, "-m", "optselect", "export", study, exported], check=True)
        found = whole_files(exported)
    files = {
        name: body for name, body in found.items() if name == "trials.json" or name.startswith("source/")
    }
    files["study.json"] = without_folders(json.loads(found["study.json"]))
    manifest = {
        "format": FORMAT,
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in files.items()},
    }
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / f"{study}.zip"
    kept.write_bytes(zipped({MANIFEST: as_json(manifest).encode(), **files}))
    return kept


def without_folders(study: dict[str, Any]) -> bytes:
    """Its facts, with a plain name for each file."""
    spec, problem = study["spec"], study["problem"]
    file = Path(problem["path"]).name
    spec |= {"folder": ".", "problem": file}
    return as_json({**study, "spec": spec, "problem": {**problem, "path": file}}).encode()


if __name__ == "__main__":
    print(record(sys.argv[1]))
