"""What was asked, all told? Flags win over the spec file, the spec file over the defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optselect.search.errors import InvalidInput, told_where_said
from optselect.search.spec.declaring import parted
from optselect.search.spec.space import choose_optimizers, placed_names
from optselect.search.spec.study_spec import Request
from optselect.search.spec.toml.reading import NOTHING_SAID, read_spec

BUDGETS = ("trials", "budget", "minutes")
"""Each says how much is searched: a flag of one puts aside what the file says of another."""


def merged(typed: Mapping[str, Any], declared: type[Request] = Request) -> Request:
    """Read the spec file, if one is named, and fill what the flags leave open; raises InvalidInput.

    Args:
        typed: the flags by their keys; None or False: not typed.
    """
    typed = {key: value for key, value in typed.items() if value is not None and value is not False}
    if "optimizers" in typed:
        typed["optimizers"] = placed_names(parted(typed["optimizers"]), Path.cwd())
    file: Path | None = typed.get("spec")
    read = NOTHING_SAID if file is None else read_spec(file, typed.get("optimizers"), declared)
    said = in_one_line(read.said, Path() if file is None else file.parent)
    if any(key in typed for key in BUDGETS):
        said = {key: value for key, value in said.items() if key not in BUDGETS}
    whole = {**said, **typed}
    if "problem" not in whole:
        raise InvalidInput(
            "A problem must be named on the command line or in the spec file. Received: none. "
            "Try: optselect launch diabetes"
        )
    places = {key: place for key, place in read.places.items() if key not in typed}
    if "optimizers" in whole:  # a mistyped name is answered before the model is built
        with told_where_said(places):
            choose_optimizers(whole["optimizers"], "")
    return declared(**whole, space=read.space, switches=read.switches, places=places)


def in_one_line(said: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a file says, as flags say it: lists are parted by commas, classes of one's own stand with whole paths."""
    flat = {key: ",".join(value) if isinstance(value, list) else value for key, value in said.items()}
    if isinstance(said.get("optimizers"), list):
        flat["optimizers"] = placed_names(said["optimizers"], folder)
    return flat
