"""What of the user's callbacks takes part in a trial, and where do they write?

Every trial has the same callbacks (users_state.py lets them begin anew), so a path in one of Keras's own would be one
file for all trials: it is moved below a folder of the trial. What a class of the user's writes is left as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import keras

from optselect.trials.terms.own_files import make_folder

PATHS: Mapping[type, str] = {
    keras.callbacks.ModelCheckpoint: "filepath",
    keras.callbacks.CSVLogger: "filename",
    keras.callbacks.TensorBoard: "log_dir",
}
"""The attribute that says where a class of Keras's writes; OrbaxCheckpoint has opened its folder when it was made."""
LEFT_OUT = (keras.callbacks.BackupAndRestore,)
"""A trial goes on from a checkpoint of its own, and would go on from another trial's with these."""


def callbacks_in(given: Any) -> tuple[Any, ...]:
    """Give the callbacks of a fit that take part."""
    found = [callback for callback in keras.tree.flatten(given) if callback is not None]
    return tuple(callback for callback in found if not isinstance(callback, LEFT_OUT))


def left_out(given: Any) -> list[str]:
    """Name the callbacks of a fit that do not."""
    found = keras.tree.flatten(given)
    return [type(callback).__name__ for callback in found if isinstance(callback, LEFT_OUT)]


def write_below(callbacks: Iterable[Any], folder: Path) -> None:
    """Let Keras's own callbacks write below a folder, each under its own path there; addresses stay as they are."""
    for callback, attribute in _with_paths(callbacks):
        inner = _inner(getattr(callback, attribute))
        if "{" not in inner:  # else Keras makes the folders once the fields are filled in
            make_folder((folder / inner).parent)
        setattr(callback, attribute, f"{_escaped(folder) if _is_format(callback) else folder}/{inner}")


def that_are_moved(callbacks: Iterable[Any]) -> list[str]:
    """Name the callbacks that write below a folder of the trial."""
    return [type(callback).__name__ for callback, _ in _with_paths(callbacks)]


def go_on_after(callbacks: Iterable[Any], epoch: int) -> None:
    """Let a table that a trial wrote before it was interrupted keep the rows up to an epoch, and grow."""
    for callback in callbacks if epoch else ():
        if isinstance(callback, keras.callbacks.CSVLogger) and (file := Path(callback.filename)).is_file():
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(lines[: 1 + epoch]))
            callback.append = True


def not_remembered(callback: Any) -> Sequence[str]:
    """Name the attributes of a callback that a snapshot leaves out."""
    names = ["_model", "params", *(path for kind, path in PATHS.items() if isinstance(callback, kind))]
    # Keras turns the sign of this one when it is first used.
    return [*names, "min_delta"] if hasattr(callback, "monitor_op") else names


def _with_paths(callbacks: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    for callback in callbacks:
        for kind, attribute in PATHS.items():
            if isinstance(callback, kind) and "://" not in str(getattr(callback, attribute)):
                yield callback, attribute


def _is_format(callback: Any) -> bool:
    """Tell whether fields such as {epoch} in a path are filled in."""
    return isinstance(callback, keras.callbacks.ModelCheckpoint)


def _escaped(folder: Path) -> str:
    return str(folder).replace("{", "{{").replace("}", "}}")


def _inner(path: Any) -> str:
    """Give a path as one below another: without its root, and without ways out.

    >>> _inner("out/best.keras"), _inner("/data/best.keras"), _inner("../best.keras")
    ('out/best.keras', 'data/best.keras', 'best.keras')
    """
    pure = PurePath(str(path))
    return "/".join(part for part in pure.parts if part not in (pure.anchor, "..", "."))
