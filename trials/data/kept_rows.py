"""How is data() called once for all processes of a machine? What it gave lies in files, known by its hash.

The process that describes a problem, or the first one that trains it here, calls data() and keeps the arrays; the
others read these, byte for byte, and large ones only as maps of the files (programs/shared_rows.py). Each command has
data() called once, so that it is noticed where it gives other rows by now. What cannot be kept, because it is no array
or because data() changes more than it returns (state/traces.py), is loaded by each process.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import hexdigits
from typing import Any

import filelock
import numpy as np
import tensorflow as tf

from optselect.trials.data.fingerprint import FIRST_BATCH, hash_data
from optselect.trials.data.loading import Loading
from optselect.trials.data.splits import SPLITS, Arrays, Data, aligned_copy, tensor_over
from optselect.trials.data.unused_folders import forget_unused
from optselect.trials.data.whole_file import replacing, write_whole
from optselect.trials.state.traces import Left, Traces
from optselect.trials.terms.own_files import make_folder

log = logging.getLogger(__name__)

FORMAT = 1
HEADER = "rows.json"
LEAST_MAPPED_BYTES = 2**20
"""Less is not worth a map of a file."""
MOST_BYTES = 4 * 2**30
"""Of the rows of one problem, and of all that are kept beside them; and never more than half of what the disk has left."""
PLAIN_KINDS = "biufcSU"


class CannotBeKept(Exception):
    """Why the rows of a problem do not lie in files."""


@dataclass(frozen=True)
class KeptRows:
    """The rows of one data() on this machine."""

    folder: Path  # of rows of this hash alone
    data_hash: str
    since: float = 0.0
    """What was not seen to be what data() gives since then, in seconds of the epoch, is asked of data() again."""

    @classmethod
    def of(cls, root: Path, data_hash: str, since: float = 0.0) -> "KeptRows | None":
        """Give the place of rows of this hash; None for those of batches, whose hash is of the first one only."""
        if data_hash.startswith(FIRST_BATCH):
            return None
        return cls(folder_of_rows(root, data_hash), data_hash, since)

    def find(self, load: Callable[[], Data], traces: Traces, loading: Loading) -> Data:
        """Read the rows, or have data() called, here or by another process that is at it already."""
        try:
            self._make_folder()
            lock = self.lock()
            with loading.part("what another process gets of data()"):
                lock.acquire()
        except OSError as error:
            log.warning("each process calls data() for itself: %s", error)
            return load()
        try:
            if not self._is_known(HEADER):
                if self._is_known("why-not"):
                    lock.release()  # let all of them load side by side
                    return load()
                data = load()
                if not self.keep(data, traces.left()):
                    return data
            return self._read_back(traces) or load()
        finally:
            lock.release()

    def lock(self) -> filelock.BaseFileLock:
        """Let others wait for the rows while the block runs; forgotten if this process dies."""
        return filelock.FileLock(self.folder / "lock", mode=0o600)

    def begin(self) -> filelock.BaseFileLock | None:
        """Lock the rows before others can ask for them; None where they cannot be kept anyway."""
        try:
            self._make_folder()
            lock = self.lock()
            lock.acquire()
        except OSError as error:
            log.warning("each process calls data() for itself: %s", error)
            return None
        return lock

    def keep(self, data: Data, left: Left) -> bool:
        """Write what data() gave, under the lock; False where it cannot be kept, or is not what the hash says."""
        if hash_data(data) != self.data_hash:
            return False
        try:
            if left.changed:
                raise CannotBeKept(f"data() changes more than it returns: {left.changed}")
            if (self.folder / HEADER).exists():
                os.utime(self.folder / HEADER)
                return True
            self._write(data, left)
        except (CannotBeKept, OSError) as error:
            log.info("each process calls data() for itself: %s", error)
            (self.folder / HEADER).unlink(missing_ok=True)
            _try_to_write(self.folder / "why-not", str(error).encode())
            return False
        return True

    # --- files ---

    def _make_folder(self) -> None:
        make_folder(self.folder)
        os.utime(self.folder)  # in use

    def _is_known(self, name: str) -> bool:
        try:
            return (self.folder / name).stat().st_mtime >= self.since
        except OSError:
            return False

    def _write(self, data: Data, left: Left) -> None:
        written = _Writer(self.folder)
        splits = {name: written.split(name, split) for name, split in data.splits()}
        header = {"format": FORMAT, "bytes": written.bytes, "splits": splits, "memory": left.memory}
        write_whole(self.folder / HEADER, json.dumps(header).encode())  # last: it says that all is there
        forget_unused(self.folder.parent, MOST_BYTES, but=self.folder)

    def _read_back(self, traces: Traces) -> Data | None:
        """Read what is kept; None, and nothing is left of it, where a disk lost something of it."""
        try:
            header = json.loads((self.folder / HEADER).read_text("utf-8"))
            if header["format"] == FORMAT and hash_data(self._data(header)) == self.data_hash:
                traces.put_back(header["memory"])
                return self._data(header)  # anew: no page of the maps was read yet
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            log.warning("kept rows cannot be read: %s", error)
        (self.folder / HEADER).unlink(missing_ok=True)
        return None

    def _data(self, header: dict[str, Any]) -> Data:
        reader = _Reader(self.folder, is_mapped=header["bytes"] >= LEAST_MAPPED_BYTES)
        splits = {name: reader.split(header["splits"][name]) for name in SPLITS if name in header["splits"]}
        return Data(splits["train"], splits["validation"], splits.get("test"), is_mapped=reader.is_mapped)


def folder_of_rows(root: Path, data_hash: str) -> Path:
    """Where rows of that hash lie; the hash may have been written by another hand, and names no folder elsewhere."""
    end = data_hash[-32:]
    is_hash = len(end) == 32 and set(end) <= set(hexdigits)
    return root / (end if is_hash else hashlib.sha256(data_hash.encode()).hexdigest()[:32])


def _try_to_write(file: Path, body: bytes) -> None:
    try:
        write_whole(file, body)
    except OSError:
        log.debug("%s cannot be written", file, exc_info=True)


class _Writer:
    """Writes the arrays of splits, one file for each, and says how they lie in the user's lists and dicts."""

    def __init__(self, folder: Path) -> None:
        self.bytes = 0
        self._folder, self._files = folder, 0
        self._most = min(MOST_BYTES, shutil.disk_usage(folder).free // 2)

    def split(self, name: str, split: Any) -> Any:
        """Write x, y and the weights."""
        if not isinstance(split, Arrays):
            raise CannotBeKept(f"the {name} data is a {type(split).__name__}, no array")
        return [self._tree(name, part) for part in (split.x, split.y, split.sample_weight)]

    def _tree(self, name: str, tree: Any) -> Any:
        if tree is None:
            return None
        if isinstance(tree, dict) and all(type(key) in (str, int) for key in tree):
            return {"dict": [[key, self._tree(name, item)] for key, item in tree.items()]}
        if type(tree) in (list, tuple):
            return {type(tree).__name__: [self._tree(name, item) for item in tree]}
        return self._leaf(name, tree)

    def _leaf(self, name: str, leaf: Any) -> dict[str, str]:
        is_tensor = isinstance(leaf, tf.Tensor) and (
            leaf.dtype.is_numpy_compatible and leaf.dtype != tf.string
        )
        if not is_tensor and type(leaf) is not np.ndarray:
            raise CannotBeKept(f"{name} holds a {type(leaf).__name__}, no array of numpy's")
        array = np.asarray(leaf)
        self.bytes += array.nbytes
        if self.bytes > self._most:
            raise CannotBeKept(f"they are more than {self._most / 1e9:.1f} GB")
        self._files += 1
        file = self._folder / f"own-{self._files}.npy"
        if array.dtype.kind == "O":
            return self._text(name, file, array)
        if array.dtype.kind not in PLAIN_KINDS and (array.dtype.kind != "V" or array.dtype.names is not None):
            raise CannotBeKept(f"{name} holds numbers of the type {array.dtype}")
        write_array(file, array)
        return {"tensor" if is_tensor else "array": file.name, "dtype": dtype_name(array.dtype)}

    def _text(self, name: str, file: Path, array: Any) -> dict[str, str]:
        if not all(type(item) is str for item in array.flat):
            raise CannotBeKept(f"{name} holds objects of Python's")
        write_whole(file, json.dumps([array.shape, [*array.flat]]).encode())
        return {"text": file.name}


def write_array(file: Path, array: np.ndarray[Any, Any]) -> None:
    """In place at once, for others map what was there; without write_whole's bytes, which would be the rows once more."""
    # One process at a time holds the lock: what a killed one left is written over.
    with replacing(file, aside=file.with_suffix(".part")) as stream:
        np.save(stream, array, allow_pickle=False)


def dtype_name(dtype: Any) -> str:
    """Name a type so that numpy finds it again: its order of bytes too; bfloat16 and its like only have a name."""
    return str(dtype.name if dtype.kind == "V" else dtype.str)


@dataclass(frozen=True)
class _Reader:
    """Makes splits of the files again."""

    folder: Path
    is_mapped: bool

    def split(self, trees: Sequence[Any]) -> Arrays:
        return Arrays(*map(self._tree, trees))

    def _tree(self, tree: Any) -> Any:
        if tree is None:
            return None
        if "dict" in tree:
            return {key: self._tree(item) for key, item in tree["dict"]}
        if "list" in tree:
            return [self._tree(item) for item in tree["list"]]
        if "tuple" in tree:
            return tuple(self._tree(item) for item in tree["tuple"])
        return self._leaf(tree)

    def _leaf(self, tree: dict[str, str]) -> Any:
        if "text" in tree:
            shape, items = json.loads((self.folder / tree["text"]).read_text("utf-8"))
            # Without the None numpy looks into them.
            return np.array([*items, None], object)[:-1].reshape(shape)
        file, dtype = self.folder / tree.get("tensor", tree.get("array", "")), np.dtype(tree["dtype"])
        array = self._array(file, dtype)
        if "array" in tree:
            return array
        if dtype.kind not in "biufc":
            return tf.constant(array)
        # .npy files align what they hold.
        return tensor_over(array if self.is_mapped else aligned_copy(array))

    def _array(self, file: Path, dtype: Any) -> Any:
        # Copy on write: who changes rows in place changes its own, as ever.
        array = np.load(
            file, mmap_mode="c" if self.is_mapped and file.stat().st_size else None, allow_pickle=False
        )
        return np.asarray(array if array.dtype == dtype else array.view(dtype))
