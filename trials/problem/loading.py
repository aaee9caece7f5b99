"""What is the user's problem? Loads the problem file and checks what it gives.

def model():   a compiled keras.Model; its optimizer is the baseline, its loss and metrics stay
def data():    (train, validation) or (train, validation, test)
fit = {...}    optional: keyword arguments of Model.fit
files = [...]  optional: what model() reads, such as pre-trained weights
"""

import dataclasses
import importlib
import importlib.util
import inspect
import logging
import math
import random
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

from optselect.trials.data.kept_rows import KeptRows
from optselect.trials.data.loading import Loading
from optselect.trials.data.row_order import TrainingRows
from optselect.trials.data.splits import Arrays, Data, batch_count, read_data
from optselect.trials.optimizers.custom import load_class
from optselect.trials.problem.initial_weights import InitialWeights
from optselect.trials.problem.user_files import places_of
from optselect.trials.state.callbacks import callbacks_in
from optselect.trials.state.keras_names import count_names_from, counted_names
from optselect.trials.state.traces import Left, Traces
from optselect.trials.state.users_state import UsersCode, UsersState
from optselect.trials.terms.configuration import Configuration, OptimizerConfig
from optselect.trials.terms.errors import ProblemError, SourceNotListed
from optselect.trials.terms.installed_first import (
    InstalledFirst,
    left_out_note,
    lost_names,
    lost_note,
    named_by_pythonpath,
    put_first,
)
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.terms.reference import Reference
from optselect.trials.terms.user_code import PROBLEM_MODULE, demand_users_failure, explain, is_users

log = logging.getLogger(__name__)

KERAS_BATCH_SIZE = 32  # what Model.fit takes for arrays where nothing is said
KERAS_EPOCHS = 1

# What fit may not hold, and where it belongs instead.
RESERVED = {
    "x": "data() gives it",
    "y": "data() gives it",
    "sample_weight": "give it as the third part of the training data",
    "validation_data": "data() gives it",
    "validation_split": "data() gives (train, validation)",
    "initial_epoch": "every trial starts at its first epoch",
}


@dataclass
class Problem:
    """A loaded problem: everything that a trial needs and that its optimizer does not change."""

    path: Path
    make_model: "ModelMaker"  # a fresh, compiled and checked model for each call
    data: Data
    fit: Mapping[str, Any]  # as the user wrote it, with the epochs that hold
    optimizers: Mapping[str, type] = field(default_factory=dict)  # classes that are not Keras's, by name
    files: Sequence[str] = ()  # that the problem file names: model() reads them
    left_by_data: Left | None = None  # what data() has left behind, where it was called here
    initial_weights: InitialWeights = field(init=False)
    initial_metrics: dict[int, Mapping[str, float]] = field(init=False, default_factory=dict)  # by seed

    def __post_init__(self) -> None:
        self.initial_weights = InitialWeights(self.make_model, self.one_batch)

    @property
    def callbacks(self) -> tuple[Any, ...]:
        """Those of the user's fit that take part in a trial."""
        return callbacks_in(self.fit.get("callbacks"))

    def users_state(self, model: Any) -> UsersState:
        """Note what the user's code holds now, after it made this model."""
        return self.make_model.code.state(model)

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.path.stem

    def with_classes(self, configuration: Configuration) -> Configuration:
        """Give a configuration whose optimizers bring their classes, where these are not Keras's."""

        def whole(config: OptimizerConfig) -> OptimizerConfig:
            return dataclasses.replace(config, custom_class=self.optimizers.get(config.optimizer))

        switches = [
            dataclasses.replace(switch, optimizer=whole(switch.optimizer))
            for switch in configuration.switches
        ]
        return Configuration(whole(configuration.optimizer), tuple(switches))

    @property
    def jit(self) -> bool:
        """Whether XLA compiles what is trained; the same for all trials of a study, for it rounds otherwise."""
        return self.make_model.jit

    @property
    def precision(self) -> str | None:
        """The dtype policy that was asked for; None: the file's own."""
        return self.make_model.precision

    def decide_jit(self, jit: bool) -> None:
        """Let XLA compile all further models, or none."""
        self.make_model.jit = jit
        self.initial_metrics.clear()

    @property
    def epochs(self) -> int:
        """The epochs of a full training."""
        return int(self.fit["epochs"])

    @property
    def batch_size(self) -> int | None:
        """Rows of a batch, None where the data comes in batches already."""
        if isinstance(self.data.train, Arrays):
            return int(self.fit.get("batch_size") or _batch_size_of_steps(self.data.train, self.fit))
        return None

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches of an epoch, None where unknown."""
        if isinstance(self.data.train, Arrays):
            return int(self.training_rows.steps)
        count = self.fit.get("steps_per_epoch") or batch_count(self.data.train)
        return None if count is None else int(count)

    @cached_property
    def training_rows(self) -> TrainingRows:
        """The training arrays as Keras reads them; only for arrays."""
        assert self.batch_size is not None, "a Dataset brings its own batches"
        return TrainingRows(
            self.data.train,
            batch_size=self.batch_size,
            class_weight=self.fit.get("class_weight"),
            shuffle=bool(self.fit.get("shuffle", True)),
            steps=self.fit.get("steps_per_epoch"),
        )

    @property
    def validation_batch_size(self) -> int:
        """Rows of a batch of validation and test arrays, as fit would choose it."""
        size = self.fit.get("validation_batch_size") or self.batch_size or self.fit.get("batch_size")
        return int(size or KERAS_BATCH_SIZE)

    def first_batch(self) -> Any:
        """Give one batch of the training data as a train_step gets it."""
        train = self.data.train
        if isinstance(train, Arrays):
            return next(iter(self.training_rows.batches(seed=0, first_epoch=1, last_epoch=1)))
        return next(iter(train)) if isinstance(train, tf.data.Dataset) else train[0]

    def one_batch(self) -> Any:
        """Give the inputs of one small batch, to build a model on."""
        return keras.utils.unpack_x_y_sample_weight(self.first_batch())[0]


def load_problem(
    path: Path,
    epochs: int | None = None,
    optimizers: Iterable[Reference] = (),
    jit: bool = False,
    precision: str | None = None,
    listed: ListedCode | None = None,
    rows: KeptRows | None = None,
    loading: Loading | None = None,
) -> Problem:
    """Load and check a problem file; `epochs` replaces those of its fit, `optimizers` are classes of the user's own.

    `jit` lets XLA compile its models. `precision` becomes Keras's dtype policy of this process, as a line at the top
    of the file would make it; None leaves it to the file. `listed` is the only code that may run besides what is
    installed; None: whatever is here.

    `rows` are read in place of a call of data() where another process has made it already; `loading` tells what is at
    work and how long it took.

    The file's folder becomes the first entry of sys.path, and the user's own modules there win over all that this
    process imported before, but for what it needs itself (terms/installed_first.py). Raises ProblemError.
    """
    path = path.resolve()
    if not path.is_file():
        raise ProblemError(f"The problem file must exist. Received: {str(path)!r}")
    # What the file draws at random, such as a split, must be the same in every process that serves a study.
    random.seed(0)
    np.random.seed(0)
    if precision is not None:
        keras.config.set_dtype_policy(precision)
    loading = loading or Loading()
    with loading.part(path.name):
        module = import_problem(path, listed)
    model, data = _function(module, path, "model"), _function(module, path, "data")
    fit = _read_fit(getattr(module, "fit", {}), path, epochs)
    files = _read_files(getattr(module, "files", ()), path)
    classes = _load_classes(optimizers, path, listed, loading)
    code = UsersCode(module, path, callbacks_in(fit.get("callbacks")), ())
    checked, left = _find_data(data, code, fit, rows, loading)
    splits = tuple(split for _, split in checked.splits() if not isinstance(split, Arrays))
    make_model = ModelMaker(model, dataclasses.replace(code, splits=splits), jit, precision, loading)
    return Problem(path, make_model, checked, fit, classes, files, left)


def _load_classes(
    optimizers: Iterable[Reference], path: Path, listed: ListedCode | None, loading: Loading
) -> dict[str, Any]:
    """The user's own optimizers by their names."""
    classes = {}
    for reference in optimizers:
        with loading.part(reference.class_name):
            classes[reference.class_name] = load_class(reference, path, listed)
    return classes


def _find_data(
    data: Callable[[], Any],
    code: UsersCode,
    fit: Mapping[str, Any],
    rows: KeptRows | None,
    loading: Loading,
) -> tuple[Data, Left | None]:
    """What data() gives, and what its call left behind; None where another process has called it."""
    traces, left = Traces.before(code), list[Left]()

    def load() -> Data:
        with loading.part("data()"):
            given = call_user(data, code.path)
        left.append(traces.left())
        return _checked_data(given, code.path, fit)

    found = load() if rows is None else rows.find(load, traces, loading)
    return found, left[0] if left else None


def _checked_data(given: Any, path: Path, fit: Mapping[str, Any]) -> Data:
    try:
        checked = read_data(given)
        _check_infinite(checked, fit)
    except ProblemError as error:  # data's checks know no file
        raise ProblemError(f"{path.name}: {error}") from error.__cause__
    return checked


class ModelMaker:
    """The user's model(), called as if for the first time, with each model checked before it is handed on."""

    def __init__(
        self,
        model: Callable[[], Any],
        code: UsersCode,
        jit: bool = False,
        precision: str | None = None,
        loading: Loading | None = None,
    ) -> None:
        self.code, self.jit, self.precision = code, jit, precision
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext  # each call of model()
        self._model, self._path, self._first_state = model, code.path, code.state()
        self._last: tuple[Callable[[], Any], ...] = ()
        # Until model() was called once: later calls find what the first one has fetched.
        self._loading = loading
        self._counts, self._policy = counted_names(), keras.config.dtype_policy()

    def __call__(self) -> Any:
        # Keras counts the names it gives: without this the second model's AUC would be auc_1.
        count_names_from(self._counts)
        # As each process finds it when it has loaded the file: a callback's clear_session() sets it back.
        keras.config.set_dtype_policy(self._policy)
        self._first_state.restore()
        session = global_state.GLOBAL_STATE_TRACKER
        with self.around(), nullcontext() if self._loading is None else self._loading.part("model()"):
            model = call_user(self._model, self._path)
        self._loading = None
        self._first_state = self._first_state.with_new_modules(self.code)
        is_cleared = global_state.GLOBAL_STATE_TRACKER is not session
        if not isinstance(model, keras.Model):
            raise ProblemError(
                f"{self._path.name}: model() must return a compiled keras.Model. Received: {type(model).__name__}"
                + (" (a return is missing?)" if model is None else "")
            )
        if not model.compiled or getattr(model, "optimizer", None) is None:
            raise ProblemError(
                f"{self._path.name}: model() must return a compiled model. Received: a model without an optimizer; "
                "call model.compile(optimizer=..., loss=...) before returning it"
            )
        self._check_new(model)
        self._demand_precision(model, is_cleared)
        if self.jit:
            self._demand_xla(model)
        model.jit_compile = self.jit  # XLA rounds otherwise, and is decided for a whole study
        return model

    def aside(self) -> Any:
        """Make a model in the middle of a training: what the user's code holds stays as it is."""
        now = self.code.state()
        try:
            return self()
        finally:
            now.restore()

    def _demand_precision(self, model: Any, is_cleared: bool) -> None:
        """Refuse a file that chooses for itself: what was asked for would be in the report and not in the training."""
        if self.precision in (None, own := model.dtype_policy.name):
            return
        cause, mend = "chosen in the file", "the file's dtype policy"
        if is_cleared:
            cause, mend = "for clear_session() in model() sets Keras's dtype policy back", "that call"
        raise ProblemError(
            f"{self._path.name}: the model must be made in the precision that was asked for, {self.precision}. "
            f"Received: {own}, {cause}. Leave out --precision, or {mend}"
        )

    def _demand_xla(self, model: Any) -> None:
        """Refuse what Keras would train without XLA, whatever was asked."""
        unfit = [layer.name for layer in model._flatten_layers() if not layer.supports_jit]
        if unfit or model.run_eagerly:
            received = f"layer {unfit[0]}, which Keras keeps from XLA" if unfit else "run_eagerly=True"
            raise ProblemError(
                f"{self._path.name}: XLA must be able to compile the model (--jit on). Received: {received}. "
                "Try --jit off"
            )

    def _check_new(self, model: Any) -> None:
        """Refuse a model or an optimizer made once and returned for every call: trials would share their state."""
        kept = {id(held) for reference in self._last if (held := reference()) is not None}
        for what, made in (("model", model), ("optimizer", model.optimizer)):
            if id(made) in kept:
                raise ProblemError(
                    f"{self._path.name}: model() must make a new {what} each time it is called. "
                    f"Received: the same {what} twice; create it inside model()"
                )
        self._last = (weakref.ref(model), weakref.ref(model.optimizer))


def call_user(function: Callable[[], Any], path: Path) -> Any:
    """Call a function of the problem file; whatever it raises becomes a ProblemError of one line."""
    name = getattr(function, "__name__", "function")
    try:
        with program_of(path):
            return function()
    except ProblemError:
        raise
    except BaseException as error:
        demand_users_failure(error)
        log.debug("%s() of %s raised", name, path, exc_info=True)
        what = "raise" if isinstance(error, Exception) else "end the program"
        raise ProblemError(
            f"{path.name}: {name}() must not {what}. Received: {explain(error, path.parent)}"
        ) from error


def import_problem(path: Path, listed: ListedCode | None = None) -> ModuleType:
    """Import a problem file under a private name, so that one called like a library hides nothing."""
    if listed is not None:
        listed.enter()
    finder = _prefer_users_modules(path.parent, () if listed is not None else named_by_pythonpath())
    name = f"{PROBLEM_MODULE}{path.stem}"
    own = None if listed is None else listed.loader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=own)
    if spec is None or spec.loader is None:
        raise ProblemError(f"The problem file must be a Python file (name.py). Received: {path.name!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: classes defined in it look their module up
    loader = spec.loader

    def load() -> None:
        loader.exec_module(module)

    try:
        with program_of(path):
            load()
    except SourceNotListed:
        raise
    except SyntaxError as error:
        raise ProblemError(
            f"{path.name} must be valid Python. Received: {explain(error, path.parent)}"
        ) from error
    except BaseException as error:
        demand_users_failure(error)
        log.debug("%s raised", path, exc_info=True)
        is_end = not isinstance(error, Exception)
        must = "not end the program when it is imported" if is_end else "be importable"
        notes = (lost_note(lost_names(finder, [path])), left_out_note(error))
        received = ". ".join([explain(error, path.parent), *filter(None, notes)])
        raise ProblemError(f"{path.name} must {must}. Received: {received}") from error
    return module


@contextmanager
def program_of(path: Path) -> Iterator[None]:
    """Let the file see a command line of its own, as `python FILE` gives it: its argparse is not meant to read ours."""
    ours = sys.argv
    sys.argv = [str(path)]
    try:
        yield
    finally:
        sys.argv = ours


def _prefer_users_modules(folder: Path, behind: Sequence[str]) -> InstalledFirst:
    """Put the folder first on sys.path and forget loaded modules that one of the user's hides.

    Without the second half a storage.py of the user's would never be found once another `storage` was imported.
    What Python and our packages need stays, and is found there later too.
    """
    finder = put_first(folder, behind)
    for name in _top_level_names(folder):
        loaded = sys.modules.get(name)
        if loaded is None or name == "__main__" or _comes_from(loaded, folder):
            continue
        if not finder.is_needed(name):
            for known in [
                known for known in sys.modules.copy() if known == name or known.startswith(f"{name}.")
            ]:
                del sys.modules[known]
    importlib.invalidate_caches()
    return finder


def _top_level_names(folder: Path) -> set[str]:
    files = {file.stem for file in folder.glob("*.py")}
    packages = {inner.name for inner in folder.iterdir() if inner.is_dir() and any(inner.glob("*.py"))}
    return {name for name in files | packages if name.isidentifier()}


def _comes_from(module: ModuleType, folder: Path) -> bool:
    origins = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(origin is not None and is_users(Path(origin).resolve(), folder) for origin in origins)


def _function(module: ModuleType, path: Path, name: str) -> Callable[[], Any]:
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    came = "nothing of that name" if function is None else type(function).__name__
    raise ProblemError(f"{path.name} must define a function {name}(). Received: {came}")


def _read_fit(fit: object, path: Path, epochs: int | None) -> dict[str, Any]:
    if not isinstance(fit, Mapping) or not all(isinstance(key, str) for key in fit):
        raise ProblemError(
            f"{path.name}: fit must be a dict of keyword arguments of Model.fit. Received: {type(fit).__name__}"
        )
    known = [key for key in inspect.signature(keras.Model.fit).parameters if key not in ("self", *RESERVED)]
    for key in fit:
        if key in RESERVED:
            raise ProblemError(f"{path.name}: fit must not hold {key!r}: {RESERVED[key]}")
        if key not in known:
            raise ProblemError(
                f"{path.name}: fit must hold keyword arguments of Model.fit. Received: {key!r}. "
                f"Known: {', '.join(known)}"
            )
    merged = {"epochs": KERAS_EPOCHS, **fit, **({} if epochs is None else {"epochs": epochs})}
    for key in ("epochs", "batch_size", "steps_per_epoch", "validation_steps", "validation_batch_size"):
        _check_count(merged, key, path)
    if merged.get("validation_freq", 1) != 1:
        raise ProblemError(
            f"{path.name}: fit['validation_freq'] must be 1, trials are compared epoch by epoch. "
            f"Received: {merged['validation_freq']!r}"
        )
    return merged


def _read_files(given: object, path: Path) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, (str, Path)) for name in given):
        raise ProblemError(
            f'{path.name}: files must be a list of the names of files that model() reads, as ["base.keras"]. '
            f"Received: {given!r}"
        )
    folders = (path.parent, Path.cwd())
    for name in given:
        if not places_of(str(name), folders):
            raise ProblemError(
                f"{path.name}: each of files must be there: {name}, which model() reads. Received: no such file in "
                f"{path.parent} or {folders[1]}"
            )
    return tuple(map(str, given))


def _check_count(fit: Mapping[str, Any], key: str, path: Path) -> None:
    value = fit.get(key)
    if value is None and key != "epochs":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ProblemError(f"{path.name}: fit[{key!r}] must be an integer >= 1. Received: {value!r}")


def _check_infinite(data: Data, fit: Mapping[str, Any]) -> None:
    """Refuse data without end unless fit says how much of it makes an epoch."""
    for split, key in ((data.train, "steps_per_epoch"), (data.validation, "validation_steps")):
        if not isinstance(split, Arrays) and batch_count(split) == math.inf and not fit.get(key):
            raise ProblemError(
                f"fit[{key!r}] must say how many batches to take. Received: data that repeats without end"
            )


def _batch_size_of_steps(train: Arrays, fit: Mapping[str, Any]) -> int:
    """Give the batch size that Keras derives where only steps_per_epoch is said."""
    steps = fit.get("steps_per_epoch")
    return math.ceil(train.rows / steps) if steps else KERAS_BATCH_SIZE
