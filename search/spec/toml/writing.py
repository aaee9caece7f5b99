"""How is a stored spec written as a study.toml that launches the same study?"""

import json
from collections.abc import Iterator
from typing import Any

from optselect.search.spec.declarations import LaunchSettings
from optselect.search.spec.declaring import settings_of
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.objective import Objective
from optselect.search.spec.study_spec import StudySpec
from optselect.search.spec.switching import SwitchSpec


def spec_toml(spec: StudySpec, name: str, declared: type[LaunchSettings] = LaunchSettings) -> str:
    """A stored spec as a file that launches the same study; every range is written out, in Keras's values."""
    lines = [f"{key} = {value}" for key, value in head(spec, name, declared)]
    for switch in spec.switches:
        lines += ["", "[[switch]]", *switch_lines(switch)]
    for optimizer, dimensions in spec.space.items():
        if spec.switch_of(optimizer) is not None:  # follows from its two optimizers
            continue
        lines += ["", f"[space.{optimizer}]"]
        lines += [f"{dimension.keyword} = {toml_dimension(dimension)}" for dimension in dimensions]
    return "\n".join(lines) + "\n"


def head(spec: StudySpec, name: str, declared: type[LaunchSettings]) -> Iterator[tuple[str, str]]:
    """The keys before the tables; what a study is about comes first, a switch that is off not at all."""
    about = {
        "problem": spec.problem,
        "name": name,
        "optimizers": [spec.custom[name].reference if name in spec.custom else name for name in spec.singles],
        "tune": spec.tune,
        **({"minutes": spec.minutes} if spec.minutes else {"trials": spec.trials}),
        "epochs": spec.epochs,
        "seed": spec.seed,
        "objective": Objective.of(spec).as_typed,
    }
    stored = {one.name: getattr(spec, one.name) for one in settings_of(declared) if one.is_stored}
    for key, value in {**about, **stored}.items():
        if value is None or value is False:
            continue
        remark = f"  # {Objective.of(spec).which_is_better}" if key == "objective" else ""
        yield key, f"{toml_value(value)}{remark}"


def switch_lines(switch: SwitchSpec) -> Iterator[str]:
    """A switch as the keys of its table."""
    yield f"from = {toml_value(switch.first)}"
    yield f"to = {toml_value(switch.second)}"
    yield f"at = {{low = {toml_value(switch.low)}, high = {toml_value(switch.high)}}}"
    said = {"full": switch.full, "slots": switch.slots, "learning_rate": switch.rate}
    for name, value in said.items():
        if value not in (False, "new", "search"):
            yield f"{name} = {toml_value(value)}"


def toml_dimension(dimension: Dimension) -> str:
    if dimension.scale == "fixed":
        return toml_value(dimension.choices[0])
    if dimension.scale == "choice":
        return toml_value(list(dimension.choices))
    low, high = dimension.keras_bounds()
    ends = f"low = {toml_value(low)}, high = {toml_value(high)}"
    return (
        f"{{{ends}}}"
        if dimension.scale == "complement"
        else f"{{{ends}, log = {toml_value('log' in dimension.scale)}}}"
    )


def toml_value(value: Any) -> str:
    """A TOML value.

    >>> toml_value(["a", 1e-05, True])
    '["a", 1e-05, true]'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML refuses a bare DEL
