"""The modules by which the site takes its parts from the code; they lie beside the pages, outside the package."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def load_made_of_code() -> Any:
    """The hook of mkdocs."""
    return module_of_docs("made_of_code")


def module_of_docs(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
