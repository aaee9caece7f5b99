"""The hook by which the site takes its parts from the code; it lies outside the package."""

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load_made_of_code() -> Any:
    spec = importlib.util.spec_from_file_location("made_of_code", DOCS / "made_of_code.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
