"""Which optimizer class of the user's own does a reference mean, and does it look like one of Keras 3?

What it does when it trains is tried in describing/custom_check.py.
"""

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from optselect.trials.optimizers.schedules import build_schedule
from optselect.trials.terms.configuration import ArgumentValue, OptimizerConfig
from optselect.trials.terms.description import CustomDescription, ParameterDescription
from optselect.trials.terms.errors import ConfigurationError, ProblemError, SourceNotListed
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.terms.reference import Reference
from optselect.trials.terms.user_code import PROBLEM_MODULE, demand_users_failure, explain

OPTIMIZER_MODULE = "optselect_optimizers_"
"""Beginning of the private name under which a file elsewhere than beside the problem is a module."""
GUIDE = "docs/tutorials/own-optimizer.md"

BECAME: Mapping[str, str] = {
    "_set_hyper": "_set_hyper(name, value) becomes self.name = value",
    "_get_hyper": "_get_hyper(name) becomes self.name",
    "_create_slots": "_create_slots becomes build(self, variables)",
    "add_slot": "add_slot becomes self.add_variable_from_reference",
    "get_slot": "get_slot becomes a list made in build, read at self._get_variable_index(variable)",
    "_prepare_local": "_prepare_local is gone: update_step is given the learning rate",
    "_decayed_lr": "_decayed_lr is gone: update_step is given the learning rate",
    "_resource_apply_dense": "_resource_apply_dense becomes update_step(self, gradient, variable, learning_rate)",
    "_resource_apply_sparse": "_resource_apply_sparse is gone: update_step gets those gradients too",
    "get_updates": "get_updates becomes build and update_step",
}
"""The methods that an optimizer had before Keras 3, and what they became."""


def load_class(reference: Reference, problem: Path | None, listed: ListedCode | None = None) -> type:
    """Load the class and check what can be seen without calling it; raises ProblemError.

    `problem` is the path of the problem file, whose folder comes first on sys.path; None where there is none.
    `listed` is the only code that may run besides what is installed.
    """
    name = reference.class_name
    _demand_written_so(reference)
    if listed is not None:
        listed.demand_place(reference)
    if (file := _file_of(reference)) is not None:
        _refuse_before_keras_3(file, name)
    module = _import(reference, problem, listed)
    found = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if _is_optimizer(value)]
        known = f"Its optimizers: {', '.join(own)}." if own else "It defines no optimizer."
        raise ProblemError(
            f"{_shown(reference)} must define a class {name}. Received: nothing of that name. {known}"
        )
    if not _is_optimizer(found):
        raise ProblemError(
            f"{name} ({_shown(reference)}) must be a subclass of keras.optimizers.Optimizer. Received: {_kind(found)}."
        )
    if hasattr(keras.optimizers, name):
        raise ProblemError(
            f"{name} ({_shown(reference)}) must have a name that no class of keras.optimizers has. "
            f"Received: {name}. Call it My{name}, or add the line My{name} = {name} and give :My{name}."
        )
    _check_methods(found, reference)
    return found  # type: ignore[no-any-return]


def make_custom(config: OptimizerConfig) -> Any:
    """Make an optimizer of a class that is not Keras's; raises ConfigurationError with what its constructor said."""
    arguments = {name: _fitting(config.custom_class, name, value) for name, value in config.arguments.items()}
    if config.schedule is not None:
        arguments["learning_rate"] = build_schedule(config.schedule, _highest_rate(config))
    try:
        return config.custom_class(**arguments)
    except SourceNotListed:
        raise
    except BaseException as error:
        demand_users_failure(error)
        raise ConfigurationError(
            f"{config.optimizer} refuses its arguments: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def _highest_rate(config: OptimizerConfig) -> float:
    parameter = parameters_of(config.custom_class).get("learning_rate")
    rate = config.arguments.get("learning_rate", None if parameter is None else parameter.default)
    if isinstance(rate, (int, float)):
        return float(rate)
    raise ConfigurationError(
        f"{config.optimizer} must be given a learning_rate where a schedule is searched. Received: none."
    )


def describe_class(found: type, reference: Reference, file: str) -> CustomDescription:
    """Describe a class by the signature of its constructor; `file` is its place in the bundle."""
    signature = parameters_of(found)
    return CustomDescription(
        reference=str(reference),
        file=file,
        parameters={
            name: ParameterDescription(
                default=parameter.default if _is_plain(parameter.default) else None,
                shown="" if parameter.default is parameter.empty else repr(parameter.default),
                is_required=parameter.default is parameter.empty,
            )
            for name, parameter in signature.items()
        },
        takes_more=any(p.kind is p.VAR_KEYWORD for p in inspect.signature(found).parameters.values()),
        search_space=_own_space(found),
        bases=tuple(base.__name__ for base in found.__mro__[1:] if base.__module__.startswith("keras.")),
    )


def parameters_of(found: type) -> dict[str, inspect.Parameter]:
    """Give the constructor's named parameters; `name` is no setting."""
    parameters = inspect.signature(found).parameters.items()
    return {
        name: parameter
        for name, parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != "name"
    }


def file_of_class(found: type) -> str:
    """Give the file of a class, or its module's name where it has none."""
    return getattr(sys.modules.get(found.__module__), "__file__", None) or found.__module__


def _own_space(found: type) -> Mapping[str, Any] | None:
    """Read the class attribute search_space; what it says is checked where spec files are."""
    space = getattr(found, "search_space", None)
    if space is None or _is_table(space):
        return space
    raise ProblemError(
        f"{found.__name__}.search_space must be a dict such as {{'learning_rate': {{'low': 1e-4, 'high': 0.1}}}}. "
        f"Received: {space!r}."
    )


def _is_table(space: object) -> bool:
    """Tell whether JSON can carry it: names, and under each a plain value, a list or a table of plain values."""
    if not isinstance(space, dict) or not all(isinstance(name, str) for name in space):
        return False
    parts = [
        item
        for value in space.values()
        for item in (
            value.values()
            if isinstance(value, dict)
            else value
            if isinstance(value, (list, tuple))
            else [value]
        )
    ]
    return all(isinstance(part, (bool, int, float, str)) for part in parts)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _is_optimizer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)


def _kind(found: object) -> str:
    if not isinstance(found, type):
        return f"an object of type {type(found).__name__}"
    bases = ", ".join(f"{base.__module__}.{base.__qualname__}" for base in found.__bases__)
    return f"a subclass of {bases}"


def _fitting(custom_class: type, name: str, value: ArgumentValue) -> ArgumentValue:
    """Give a float where the constructor's own default is one; Keras refuses a learning rate of 1."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    parameter = parameters_of(custom_class).get(name)
    default = parameter.default if parameter is not None else None
    if isinstance(default, float) or name == "learning_rate":
        return float(value)
    return value if isinstance(value, int) else float(value)  # numpy's float32 is no float to Keras


def _demand_written_so(reference: Reference) -> None:
    """Refuse what no launch writes: a stored reference may have been written by another hand."""
    is_module = all(part.isidentifier() for part in reference.place.split("."))
    if not reference.class_name.isidentifier() or not (is_module or reference.path.is_absolute()):
        raise ProblemError(
            f"A stored class must be written /whole/path/file.py:Class or package.module:Class. Received: {reference}"
        )


# --- what can be seen without calling it --------------------------------------------------------------


def _refuse_before_keras_3(file: Path, name: str) -> None:
    """Read the source, for such a class may fail while it is imported."""
    old = _old_names(file, name)
    if not old:
        return
    became = "; ".join(BECAME[method] for method in BECAME if method in old)
    raise ProblemError(
        f"{file.name}: {name} is written for Keras before version 3 and cannot run in Keras {keras.__version__}. "
        f"{became}. {GUIDE} ports such a class line by line."
    )


def _old_names(file: Path, name: str) -> set[str]:
    """Find the old methods that a class of a file defines or calls."""
    try:
        tree = ast.parse(file.read_bytes())  # as Python decodes it
    except (SyntaxError, OSError):
        return set()  # the import will say so
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    return {used for found in classes for used in _names_in(found)} & BECAME.keys()


def _names_in(found: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr


def _check_methods(found: type, reference: Reference) -> None:
    where = f"{found.__name__} ({_shown(reference)})"
    base = keras.optimizers.Optimizer
    if found.update_step is base.update_step and found.apply is base.apply:  # type: ignore[attr-defined]
        raise ProblemError(
            f"{where} must define update_step(self, gradient, variable, learning_rate). Received: no such method."
        )
    names = list(inspect.signature(found.update_step).parameters)  # type: ignore[attr-defined]
    if len(names) == 3 and "learning_rate" not in names:
        raise ProblemError(
            f"{where} must define update_step(self, gradient, variable, learning_rate). "
            f"Received: update_step({', '.join(names)}), as it was before Keras 3; see {GUIDE}."
        )


# --- importing ----------------------------------------------------------------------------------------


def _import(reference: Reference, problem: Path | None, listed: ListedCode | None) -> ModuleType:
    def load() -> ModuleType:
        if not reference.is_file:
            return _in_problem(importlib.import_module(reference.place), problem)
        if problem is not None and reference.path == problem:
            return sys.modules[f"{PROBLEM_MODULE}{problem.stem}"]
        if problem is not None and (name := _module_below(reference.path, problem.parent)):
            module = importlib.import_module(name)
            if Path(module.__file__ or "") == reference.path:
                return module
        return _import_elsewhere(reference.path, listed)

    return _explained(load, reference, problem)


def _explained(load: Callable[[], ModuleType], reference: Reference, problem: Path | None) -> ModuleType:
    folder = reference.path.parent if reference.is_file else (problem.parent if problem else Path.cwd())
    try:
        return load()
    except BaseException as error:
        demand_users_failure(error)
        if isinstance(error, ModuleNotFoundError) and reference.place.startswith(str(error.name)):
            raise ProblemError(
                f"{reference}: there is no module {error.name}. It must be installed, or lie beside the problem file; "
                "a file elsewhere is written with its path, path/to/file.py:Class."
            ) from error
        is_end = not isinstance(error, Exception)
        must = "not end the program when it is imported" if is_end else "be importable"
        raise ProblemError(f"{_shown(reference)} must {must}. Received: {explain(error, folder)}") from error


def _in_problem(module: ModuleType, problem: Path | None) -> ModuleType:
    """Give the problem's own module in place of the same file under another name: its classes would be others."""
    if problem is not None and Path(module.__file__ or "").resolve() == problem:
        return sys.modules[f"{PROBLEM_MODULE}{problem.stem}"]
    return module


def _module_below(file: Path, folder: Path) -> str:
    """Name a file below the problem's folder as the problem would import it; empty where that is impossible."""
    if not file.is_relative_to(folder):
        return ""
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def _import_elsewhere(file: Path, listed: ListedCode | None) -> ModuleType:
    """Import a file from anywhere, once, under a private name; its neighbours are found after all else."""
    name = f"{OPTIMIZER_MODULE}{file.stem}"
    known = sys.modules.get(name)
    if known is not None and Path(known.__file__ or "") == file:
        return known
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    own = None if listed is None else listed.loader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=own)
    assert spec is not None and spec.loader is not None, "its name ends with .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: classes defined in it look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _file_of(reference: Reference) -> Path | None:
    if reference.is_file:
        return reference.path
    try:
        spec = importlib.util.find_spec(reference.place)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _shown(reference: Reference) -> str:
    return reference.path.name if reference.is_file else reference.place
