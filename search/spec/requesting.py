"""What was asked, all told? Flags win over the spec file, the spec file over the defaults."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optselect.search.errors import InvalidInput
from optselect.search.spec.space import choose_optimizers, names_in, placed_names
from optselect.search.spec.spec_file import ReadSpec, SpecFile, read_spec
from optselect.search.spec.study_spec import FINAL_SEEDS, Request
from optselect.search.spec.switching import SwitchSpec, read_switches


@dataclass(frozen=True)
class Flags:
    """What was typed after `launch`; None: not typed."""

    problem: str | None = None
    name: str | None = None
    optimizers: str | None = None
    tune: str | None = None
    trials: int | None = None
    epochs: int | None = None
    seed: int | None = None
    objective: str | None = None
    goal: str | None = None
    budget: str | None = None
    minutes: int | None = None
    seeds: int | None = None
    jit: str | None = None
    precision: str | None = None
    system_metrics: bool = False
    workers: int | None = None
    storage: str | None = None
    tracking: str | None = None
    checkpoints: str | None = None
    switch: str | None = None
    schedule: str | None = None
    detach: bool = False


@dataclass(frozen=True)
class Asked:
    """Flags and file in one."""

    flags: Flags
    request: Request


DEFAULTS: Mapping[str, Any] = {
    "tune": "auto",
    "seed": 0,
    "objective": "val_loss",
    "goal": "verdict",
    "jit": "off",
    "seeds": FINAL_SEEDS,
}
BUDGETS = ("trials", "budget", "minutes")
"""Each says how much is searched: a flag of one puts aside what the file says of another."""


def merged(flags: Flags, spec: Path | None) -> Asked:
    """Read the spec file, if one is named, and fill what the flags leave open; raises InvalidInput."""
    if flags.optimizers is not None:
        flags = dataclasses.replace(flags, optimizers=placed_names(names_in(flags.optimizers), Path.cwd()))
    read = read_spec(spec, flags.optimizers) if spec is not None else ReadSpec(SpecFile(), {})
    said = read.file.model_dump(exclude={"space", "switch"}, exclude_none=True)
    if isinstance(said.get("schedule"), list):
        said["schedule"] = ",".join(said["schedule"])
    if isinstance(said.get("optimizers"), list):
        said["optimizers"] = placed_names(said["optimizers"], spec.parent if spec is not None else Path())
    typed = {name: value for name, value in vars(flags).items() if value is not None and value is not False}
    if any(name in typed for name in BUDGETS):
        said = {name: value for name, value in said.items() if name not in BUDGETS}
    whole = dataclasses.replace(flags, **{**DEFAULTS, **said, **typed})
    if whole.problem is None:
        raise InvalidInput(
            "A problem must be named on the command line or in the spec file. Received: none. "
            "Try: optselect launch diabetes"
        )
    if whole.optimizers is not None:  # a mistyped name is answered before the model is built
        choose_optimizers(whole.optimizers, "")
    asked = {
        field.name: getattr(whole, field.name)
        for field in dataclasses.fields(Request)
        if field.name not in ("space", "objective_place", "switches")
    }
    switches = read.switches
    if flags.switch is not None:  # a flag wins over the file
        switches = tuple(
            SwitchSpec(first=first, second=second) for first, second in read_switches(flags.switch)
        )
    objective_place = "" if flags.objective else read.objective_place
    return Asked(
        whole, Request(**asked, space=read.space, switches=switches, objective_place=objective_place)
    )
