"""What the user's code holds is shared as in fit, begins anew with each training, and goes on with a resumed one."""

import collections
import importlib
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from optselect.trials.state.snapshot import Position, read_position, write_snapshot
from optselect.trials.state.users_state import Memory, UsersCode, UsersState
from tests.support.fits import SEED, Recorder, curve_ulps, fit_by_keras, train
from tests.trials.conftest import MakeProblem

MODULE = """
import collections, itertools, random, types
import keras, numpy as np

class Kept:
    seen = 0
    def __init__(self):
        self.best, self.steps, self.log = 1.0, itertools.count(), []

class Slotted:
    __slots__ = ("best",)
    def __init__(self):
        self.best = 1.0

def counter():
    count = 0
    def more():
        nonlocal count
        count += 1
        return count
    return more

def keep(value, into=[]):
    into.append(value)
    return len(into)

rate = 0.5
variable = keras.Variable(2.0)
array, big = np.ones(3), np.ones(3_000_000)
table, queue, names = {"a": [1, 2]}, collections.deque([1], maxlen=9), {"a"}
kept, slotted, more = Kept(), Slotted(), counter()
alike, place = table["a"], types.SimpleNamespace(at=1)
turns, keyed = itertools.cycle([1, 2]), {("a", 1): [0]}
class Checked:
    @property
    def level(self):
        return self.__dict__["level"]
class Hidden:
    __slots__ = ("__depth",)
    def __init__(self):
        self.__depth = 1
    def deepen(self):
        self.__depth += 1
        return self.__depth
checked, hidden = Checked(), Hidden()
checked.__dict__["level"] = 1
loose, modules = np.random.default_rng(), __import__("sys").modules
numbers, draws = np.random.default_rng(0), random.Random(0)
teacher = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False), keras.layers.Dropout(0.5)])
"""


def users_code(text: str, folder: Path, *callbacks: Any) -> UsersCode:
    module = types.ModuleType("optselect_problem_of_a_test")
    exec(text, vars(module))  # noqa: S102  as an import would, without a file
    return UsersCode(module, folder / "problem.py", callbacks, ())


def stored(state: UsersState) -> Memory:
    """What changed, on its way through a snapshot."""
    model = keras.Sequential()
    model.compile("sgd", "mse")
    return read_position(write_snapshot(model, Position(1, 1, state.changes()))).memory


def change(module: Any) -> None:
    """What a training's callbacks might do."""
    module.rate, module.new = 0.25, "new"
    module.variable.assign(3.0)
    module.array[1] = 7.0
    module.table["a"].append(3)
    module.table["b"] = {"deep": 0.5}
    module.queue.append(2)
    module.names.add("b")
    module.kept.best, module.Kept.seen = 2.0, 5
    module.kept.log = [1.5, (2, None)]
    next(module.kept.steps)
    module.slotted.best = 2.0
    module.more()
    module.keep("x")
    module.place.at = 2
    next(module.turns)
    module.keyed["a", 1].append(1)
    module.checked.__dict__["level"] = 2
    module.hidden.deepen()
    module.teacher.best, module.teacher.layers[0].trainable = 0.5, False
    module.numbers.random()
    module.draws.random()
    module.teacher.layers[0].kernel.assign([[9.0]])
    module.teacher.layers[1].rate = 0.1


def seen_in(module: Any) -> list[Any]:
    """What a training would see."""
    return [
        module.rate,
        hasattr(module, "new"),
        float(module.variable),
        module.array.tolist(),
        {name: str(item) for name, item in module.table.items()},
        list(module.queue),
        sorted(module.names),
        (module.kept.best, module.Kept.seen, module.kept.log),
        module.slotted.best,
        module.keep.__defaults__,
        module.place.at,
        module.keyed["a", 1],
        module.checked.level,
        hasattr(module.teacher, "best"),
        (
            module.teacher.trainable,
            module.teacher.layers[0].trainable,
            module.teacher.layers[0].kernel.trainable,
        ),
        module.numbers.bit_generator.state["state"],
        module.draws.getstate()[1],
        module.teacher.layers[1].rate,
    ]


def test_whatever_a_training_changes_begins_anew_in_place(tmp_path: Path) -> None:
    code = users_code(MODULE, tmp_path)
    module: Any = code.module
    state, before = code.state(), seen_in(module)
    kernel, held = (
        float(module.teacher.layers[0].kernel[0, 0]),
        {name: id(module.__dict__[name]) for name in ("kept", "table", "array")},
    )
    for _ in range(2):
        change(module)
        assert seen_in(module) != before
        state.restore()
        assert str(seen_in(module)) == str(before)
        assert module.more() == 1 and next(module.kept.steps) == 0 and module.keep("y") == 1
        assert next(module.turns) == 1 and module.hidden.deepen() == 2
        assert float(module.teacher.layers[0].kernel[0, 0]) == kernel
        state.restore()
    assert {name: id(module.__dict__[name]) for name in held} == held and module.alike is module.table["a"]


def test_what_changed_goes_on_in_another_process(tmp_path: Path) -> None:
    one, other = users_code(MODULE, tmp_path), users_code(MODULE, tmp_path)
    state, beyond = one.state(), other.state()
    change(one.module)
    beyond.apply(stored(state))
    for seen, expected in zip(seen_in(other.module), seen_in(one.module), strict=True):
        assert str(seen) == str(expected)
    other_module: Any = other.module
    assert other_module.more() == 2 and other_module.keep("y") == 2, "a nonlocal and a default went on, too"
    assert other_module.alike is other_module.table["a"] == [1, 2, 3]


def test_a_large_array_is_data_and_stays_as_it_is(tmp_path: Path) -> None:
    code = users_code(MODULE, tmp_path)
    names = [held.name.rpartition(".")[2] for held in code.state().held]
    assert "array" in names and "big" not in names
    assert "loose" not in names, "a generator without a seed is another one after each import"
    assert "modules" not in names, "and Python's own dictionaries are not the user's"


class Averages(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Makes what it remembers with when a training begins."""

    def __init__(self, data: Any) -> None:
        super().__init__()
        self.data = data

    def on_train_begin(self, logs: Any = None) -> None:
        self.last: collections.deque[int]
        self.by_name: collections.defaultdict[str, list[int]]
        self.last, self.by_name, self.rate = (
            collections.deque(maxlen=2),
            collections.defaultdict(list),
            np.float32(0.5),
        )
        self.alike = self.last
        self.circle: list[Any] = []
        self.circle.append(self.circle)


def test_what_a_callback_remembers_with_keeps_its_bounds_and_its_data_stays_out(tmp_path: Path) -> None:
    code = users_code("", tmp_path, averages := Averages(np.ones(2_000_000)))
    state = code.state()
    averages.on_train_begin()
    averages.last.extend([1, 2])
    averages.by_name["a"].append(3)
    memory = stored(state)
    assert not [name for name, tree in memory.items() if len(repr(tree)) > 2000]
    averages.on_train_begin()
    state.apply(memory)
    averages.last.append(4)
    averages.by_name["b"].append(5)
    assert list(averages.last) == [2, 4] and averages.by_name == {"a": [3], "b": [5]}
    assert isinstance(averages.rate, np.float32) and averages.alike is averages.last


def test_a_module_that_is_opened_lazily_stays_open_and_one_within_a_package_stays_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_a_test").mkdir()
    (tmp_path / "nets_of_a_test" / "__init__.py").write_text("")
    (tmp_path / "nets_of_a_test" / "inner.py").write_text("SIZE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    code = users_code("import nets_of_a_test\nopened, done = None, None\n", tmp_path)
    module: Any = code.module
    state = code.state()
    vars(importlib.import_module("nets_of_a_test.inner"))["SIZE"] = 2
    state = state.with_new_modules(code)
    module.nets_of_a_test.inner.SIZE = 3
    state.restore()
    assert module.nets_of_a_test.inner.SIZE == 2
    module.opened, module.done = object(), 1
    memory = stored(state)
    state.restore()
    module.opened = still_open = object()
    state.apply(memory)
    assert module.opened is still_open and module.done == 1


class Writer(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Opens a file when a training begins, and remembers in a nested place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.best = path, {"epoch": 0, "losses": [9.0]}
        self.file: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.file, self.best = self.path.open("w"), {"epoch": 0, "losses": []}


def test_a_file_that_a_callback_opens_stays_open_when_it_remembers(tmp_path: Path) -> None:
    code = users_code("", tmp_path, writer := Writer(tmp_path / "log"))
    state = code.state()
    writer.on_train_begin()
    assert writer.file is not None
    writer.file.close()
    writer.best = {"epoch": 3, "losses": [0.5, float("nan")]}
    memory = stored(state)
    state.restore()
    assert writer.best["losses"] == [9.0]
    writer.on_train_begin()
    state.apply(memory)
    assert str(writer.best) == "{'epoch': 3, 'losses': [0.5, nan]}"
    assert writer.file is not None and not writer.file.closed
    writer.file.close()


ANNEALED = """
RUN_EAGERLY = False
beta = keras.Variable(0.0, trainable=False)
beta_of = {"old": beta}

class Anneal(keras.callbacks.Callback):
    def __init__(self, weight):
        super().__init__()
        self.weight, self.own = weight, keras.Variable(0.5, trainable=False)
    def on_epoch_begin(self, epoch, logs=None):
        self.weight.assign_add(0.3)
    def on_epoch_end(self, epoch, logs=None):
        self.own.assign(self.own * 2.0)
        LOG.append(logs["loss"])
        self.model.optimizer.learning_rate = 0.01 / len(LOG)

anneal, LOG = Anneal(beta), []
plain = model
def model():
    global current
    net = current = plain()
    net.compile(net.optimizer, loss=lambda y, p: keras.losses.mean_squared_error(y, p) + beta + anneal.own, metrics=["mae"])
    return net

class Other(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        assert current is self.model and beta_of["old"] is beta and len(LOG) == epoch + 1
        logs["weight"] = float(beta)

fit["callbacks"] = [anneal, Other()]
fit["epochs"] = 4
"""


@pytest.mark.parametrize("way", [1, 3, 4])
def test_a_loss_sees_what_callbacks_change_as_in_fit_in_every_trial(
    make_problem: MakeProblem, way: int
) -> None:
    eager = (
        "\nannealed = model\ndef model():\n    net = annealed()\n    net.run_eagerly = True\n    return net\n"
    )
    hooked = "\nAnneal.on_train_batch_end = lambda self, batch, logs=None: None\n"
    problem = make_problem(ANNEALED + {1: "", 3: hooked, 4: eager}[way])
    problem.initial_weights.of_seed(SEED)  # before: in a fit there is one model
    model = problem.make_model()
    curve, _ = fit_by_keras(model, problem)
    assert curve[0]["weight"] == pytest.approx(0.3) and curve[3]["weight"] == pytest.approx(1.2)

    whole, rest = Recorder(), Recorder()
    for recorder in (None, whole):
        result = train(problem, "baseline", recorder, arguments={}, batch_ends=(2,))
        assert result.step is not None and result.step.number == way, result.step
        assert curve_ulps(curve, result.curve) == 0
    resumed = train(problem, "baseline", rest, arguments={}, start=whole.snapshots[2])
    assert [epoch.metrics for epoch in resumed.curve] == [epoch.metrics for epoch in result.curve[2:]]
    assert rest.last == whole.last


EARLY = """
RUN_EAGERLY = False
SCALE = {"of": 1.0}
class Net(keras.Sequential):
    beta = 0.0
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, y, y_pred, sample_weight) * SCALE["of"] + self.beta
def model():
    net = Net([keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dropout(0.25, seed=1), keras.layers.Dense(1)])
    net.compile(keras.optimizers.SGD(0.02), loss="mse", metrics=["mae"])
    return net
class Early(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        {what}
fit["callbacks"] = [Early()]
"""


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("self.model.beta = 1.0 / (epoch + 1)", "beta"),
        ("SCALE['of'] = 0.5", "SCALE"),
        ("self.model.layers[1].rate = 0.5", "rate"),
        ("self.seen = epoch", ""),
    ],
)
def test_what_a_callback_sets_before_the_first_batch_is_read_there_as_in_fit(
    make_problem: MakeProblem, what: str, name: str
) -> None:
    problem = make_problem(EARLY.replace("{what}", what))
    problem.initial_weights.of_seed(SEED)
    curve, _ = fit_by_keras(problem.make_model(), problem)
    result = train(problem, "baseline", arguments={})
    assert result.step is not None and result.step.number == (4 if name else 1)
    assert not name or f"a callback sets {name} before the first batch" in result.step.reason
    assert curve_ulps(curve, result.curve) == 0


ORDERED = """
class Rows(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.order = x, y, np.arange(len(x))
    def __len__(self):
        return 4
    def __getitem__(self, place):
        rows = self.order[place * 10 : place * 10 + 10]
        return self.x[rows], self.y[rows]
    def on_epoch_end(self):
        self.order = np.roll(self.order, 7)

arrays = data
def data():
    (x, y), validation = arrays()[:2]
    return Rows(x, y), validation
fit = {"epochs": 3, "shuffle": False}
"""


def test_a_pydataset_begins_each_trial_in_its_first_order(make_problem: MakeProblem) -> None:
    problem = make_problem(ORDERED)
    problem.initial_weights.of_seed(SEED)
    curve, _ = fit_by_keras(problem.make_model(), problem)
    first, second = (train(problem, "baseline", arguments={}) for _ in range(2))
    assert curve_ulps(curve, first.curve) == 0 and curve_ulps(curve, second.curve) == 0
