"""Where do the initial weights of a seed lie, and who makes them?

One file for each seed, in a folder for each problem, what its model() reads, data and set of versions. Seeding TensorFlow spoils a process
for training, so a training process that misses a seed starts a short one, make_weights.py, which makes all the
seeds that will be wanted with it: TensorFlow's import is paid once. A launch leaves the first seeds there.
"""

import hashlib
import io
import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import filelock
import keras
import numpy as np

from optselect.trials.data.fingerprint import hash_files, package_versions
from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.data.unused_folders import forget_unused
from optselect.trials.data.whole_file import write_whole
from optselect.trials.problem.initial_weights import Values
from optselect.trials.problem.loading import Problem
from optselect.trials.problem.user_files import changed_file
from optselect.trials.terms.description import WeightsDescription
from optselect.trials.terms.errors import ProblemError, WeightsChanged
from optselect.trials.terms.interpreter import own_python
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.terms.own_files import make_folder
from optselect.trials.terms.reference import BUNDLE_FOLDER
from optselect.trials.weights.seed_effects import listed
from optselect.trials.weights.weight_marks import begin

FORMAT = 1
MOST_POOL_BYTES = 256 * 2**20
"""Of the seeds that are made at once; the first is made in any case."""
MOST_BYTES = 2 * 2**30
"""Of all weights and rows that are kept; the folders that were not used for longest go first."""
ASK_AGAIN_SECONDS = 0.2
CHANGED = 3
"""Exit code of a process that finds another beginning than that of the folder."""
CHILDREN = 2
"""Processes that are started for a seed: one that is killed with its surroundings says nothing of the problem."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from besides the source: what the study's description says of it."""

    files: Mapping[str, str] = field(default_factory=dict)  # sha256 by name: what model() reads
    weights: WeightsDescription | None = None
    """Those of seed 0, which whoever makes weights makes first; None: not known, or whatever is here."""
    token: str = ""
    """Of a process that shares weights with no other."""

    def known_by(self) -> dict[str, object]:
        """What tells it from others; nothing for a study of before."""
        weights = None if self.weights is None else self.weights.sha256
        told = {"files": dict(self.files), "weights": weights, "token": self.token}
        return {name: value for name, value in told.items() if value}

    def demand(self, problem: Problem) -> None:
        """Refuse a machine where model() begins otherwise; raises WeightsChanged."""
        changed = changed_file(self.files, (problem.path.parent, Path.cwd()))
        if changed:
            raise WeightsChanged(f"{problem.path.name}: {changed}")
        if self.weights is None:
            return
        differing = self.weights.differing(begin(problem.initial_weights.begin).weights)
        if differing:
            raise WeightsChanged(f"{problem.path.name}: {others_received(differing)}")


def others_received(differing: Sequence[str]) -> str:
    """Say that weights are not the study's, of which no file that is known is the cause."""
    return (
        "model() must begin with the weights that the study was launched with. Received: others in "
        f"{listed(tuple(differing))}. Restore what model() reads; files = [...] in the problem file lets it be named"
    )


NOTHING_KNOWN = Origin()
ORIGIN = "origin.json"


class WeightFiles:
    """The folder of one problem's weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)
        os.utime(folder)  # in use

    @classmethod
    def of(
        cls, root: Path, problem: Path, modules: Iterable[str], data_hash: str, origin: Origin = NOTHING_KNOWN
    ) -> "WeightFiles":
        """Give the folder of these sources, this data and this process's packages; a change of any is another."""
        # Optimizers have no part in it.
        own = [name for name in modules if not name.startswith(f"{BUNDLE_FOLDER}/")]
        known_by = {
            "format": FORMAT,
            "modules": hash_files(problem.parent, own),
            "data": data_hash,
            "versions": package_versions(),
            "floatx": keras.config.floatx(),
            "precision": keras.config.dtype_policy().name,
            **origin.known_by(),
        }
        key = hashlib.sha256(json.dumps(known_by, sort_keys=True).encode()).hexdigest()
        files = cls(root / key[:32])
        write_whole(files.folder / ORIGIN, json.dumps(asdict(origin)).encode())
        return files

    @property
    def origin(self) -> Origin:
        """What the weights of this folder must come from."""
        try:
            told = json.loads((self.folder / ORIGIN).read_text("utf-8"))
        except FileNotFoundError:  # forgotten, or nobody's
            return NOTHING_KNOWN
        weights = told["weights"] and WeightsDescription.from_json(told["weights"])
        return Origin(told["files"], weights, told["token"])

    @property
    def is_begun(self) -> bool:
        """Whether any seed's weights are here."""
        return any(self.folder.glob("seed-*.npz"))

    def find(self, seed: int, make: Callable[[], None]) -> Values:
        """Read a seed's weights; where nobody has made them yet, wait for who is at it or call `make`."""
        while (values := self.read(seed)) is None:
            try:
                with filelock.FileLock(self.folder / "lock", timeout=ASK_AGAIN_SECONDS, mode=0o600):
                    if not self.file(seed).exists():
                        make()
            except filelock.Timeout:
                continue
        return values

    def making(self) -> filelock.BaseFileLock:
        """Tell others, while the block runs, that weights are being made; forgotten if this process dies."""
        return filelock.FileLock(self.folder / "lock", mode=0o600)

    def make(self, seeds: Sequence[int], make: Callable[[int], Values]) -> None:
        """Make and write what is missing, in this process, as far as the pool's bound allows."""
        left = MOST_POOL_BYTES
        for seed in (seed for seed in seeds if not self.file(seed).exists()):
            values = make(seed)
            self.write(seed, values)
            left -= (size := sum(value.nbytes for value in values))
            if left < size:
                break
        forget_unused(self.folder.parent, MOST_BYTES, but=self.folder)

    def file(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}.npz"

    def write(self, seed: int, values: Values) -> None:
        """Write one seed's values, as numpy's .npz without pickle: reading it runs no code."""
        stream = io.BytesIO()
        arrays = {f"value_{index}": _as_bytes(value) for index, value in enumerate(values)}
        header = [{"dtype": str(value.dtype), "shape": value.shape} for value in values]
        np.savez(stream, header=np.array(json.dumps(header)), allow_pickle=False, **arrays)
        write_whole(self.file(seed), stream.getvalue())

    def read(self, seed: int) -> Values | None:
        """Read one seed's values; None where there is no whole file, which is then removed."""
        file = self.file(seed)
        try:
            with np.load(file, allow_pickle=False) as stored:
                header = json.loads(str(stored["header"]))
                return tuple(_value(stored[f"value_{index}"], **told) for index, told in enumerate(header))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # a disk that lost something
            file.unlink(missing_ok=True)
            return None


def made_by_children(
    files: WeightFiles,
    problem: Path,
    seeds_beside: Callable[[int], Sequence[int]],
    precision: str | None = None,
    rows: KeptRows | None = None,
    listed: ListedCode | None = None,
) -> Callable[[int], Values]:
    """Give a function that finds a seed's weights, and has them made where they are missing."""
    return lambda seed: files.find(
        seed, lambda: have_made(problem, files.folder, seeds_beside(seed), precision, rows, listed)
    )


def have_made(
    problem: Path,
    folder: Path,
    seeds: Sequence[int],
    precision: str | None = None,
    rows: KeptRows | None = None,
    listed: ListedCode | None = None,
) -> None:
    """Start the short process and wait for it.

    Raises:
        WeightsChanged: the model begins otherwise than that of the folder.
        ProblemError: the first of the seeds cannot be made.
    """
    command = own_python("optselect.trials.weights.make_weights", str(problem), "--folder", str(folder))
    command += [] if precision is None else ["--precision", precision]
    command += [] if listed is None else ["--listed"]
    command += [] if rows is None else ["--rows", str(rows.folder.parent), "--data", rows.data_hash]
    for _ in range(CHILDREN):
        ended = subprocess.run(
            [*command, "--seeds", ",".join(map(str, seeds))],
            check=False,
            # The same weights on machines with and without a GPU, which stays the trainings' own.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            input="" if listed is None else listed.to_json(),
            capture_output=True,
            text=True,
            start_new_session=True,  # a signal for the group of this process would end it half-way
        )
        if ended.returncode == 0:
            return
        if ended.returncode not in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL):
            break
    words = ended.stderr.strip().splitlines()
    if ended.returncode == CHANGED:
        raise WeightsChanged(words[-1])
    raise ProblemError(
        f"{problem.name}: the initial weights of seed {seeds[0]} could not be made, the process for it ended with "
        f"code {ended.returncode}. Its last line: {words[-1] if words else '(none)'}"
    )


def _as_bytes(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As plain bytes: .npz does not know types such as bfloat16."""
    return np.frombuffer(value.tobytes(), np.uint8)


def _value(stored: np.ndarray[Any, Any], dtype: str, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    return np.frombuffer(stored.tobytes(), np.dtype(dtype)).reshape(shape)
