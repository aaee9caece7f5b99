"""Which data and which files is this? Hashes that tell a changed problem from the same one."""

import hashlib
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from optselect.trials.data.splits import Arrays, Data, named_leaves
from optselect.trials.terms.reference import BUNDLE_FOLDER, AskedClass, Reference
from optselect.trials.terms.user_code import PROBLEM_MODULE, is_users

FIRST_BATCH = "first-batch:"


def hash_data(data: Data) -> str:
    """Hash all splits; the prefix "first-batch:" tells that some split was not read to its end."""
    digest = hashlib.sha256()
    for name, split in data.splits():
        digest.update(f"{name}\n".encode())
        for place, value in _leaves(split):
            digest.update(f"{place}\n".encode())
            _add(digest, value)
    whole = all(isinstance(split, Arrays) for _, split in data.splits())
    return f"{'' if whole else FIRST_BATCH}{digest.hexdigest()}"


def hash_modules(problem: Path) -> dict[str, str]:
    """Hash the problem file and every module of its folder that is loaded now."""
    folder = problem.resolve().parent
    files = loaded_files(folder) | {problem.resolve()}
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if is_users(file, folder) and file.is_file()
    }


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Hash files by their paths relative to a folder, as hash_modules does; those that are missing are left out."""
    files = {name: folder / name for name in names}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in sorted(files.items())
        if file.is_file()
    }


def package_versions() -> dict[str, str]:
    """Give the versions that results depend on."""
    packages = {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"python": platform.python_version(), **packages}


def hash_elsewhere(asked: Iterable[AskedClass], problem: Path) -> dict[str, str]:
    """Hash the optimizers' files that lie elsewhere, and the modules beside them, by their place in the bundle."""
    found = {}
    for reference in (one.reference for one in asked):
        if not reference.is_file or is_users(reference.path, problem.parent):
            continue
        folder = reference.path.parent
        for file in sorted(loaded_files(folder)):
            if not is_users(file, problem.parent):
                found[place_in_bundle(reference, file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def place_in_bundle(reference: Reference, file: Path) -> str:
    """Name a file from elsewhere within a bundle."""
    inner = file.relative_to(reference.path.parent).as_posix()
    return f"{BUNDLE_FOLDER}/{reference.class_name}/{inner}"


def loaded_files(folder: Path) -> set[Path]:
    """Find the user's modules below a folder that are loaded now."""
    loaded = {name: getattr(module, "__file__", None) for name, module in sys.modules.copy().items()}
    others = ("optselect.", PROBLEM_MODULE)  # ours, and whatever other problem this process has loaded
    users = [file for name, file in loaded.items() if file is not None and not f"{name}.".startswith(others)]
    files = {Path(file).resolve() for file in users}
    return {file for file in files if is_users(file, folder) and file.is_file()}


def _leaves(split: Any) -> list[tuple[str, Any]]:
    if isinstance(split, Arrays):
        return list(named_leaves(split))
    batch = next(iter(split)) if isinstance(split, tf.data.Dataset) else split[0]
    spec = [("spec", str(split.element_spec))] if isinstance(split, tf.data.Dataset) else []
    return spec + list(named_leaves(Arrays(*keras.utils.unpack_x_y_sample_weight(batch))))


def _add(digest: Any, value: Any) -> None:
    """Add dtype, shape and bytes; what has several arrays inside, one after the other."""
    if isinstance(value, str):
        digest.update(value.encode())
    elif isinstance(value, tf.SparseTensor):
        for part in (value.indices, value.values, value.dense_shape):
            _add(digest, part.numpy())
    elif isinstance(value, tf.RaggedTensor):
        for part in (value.flat_values, *value.nested_row_splits):
            _add(digest, part.numpy())
    elif hasattr(value, "tocoo"):
        coo = value.tocoo()
        for part in (coo.row, coo.col, coo.data):
            _add(digest, part)
    else:
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype.kind == "O" else array.tobytes())
