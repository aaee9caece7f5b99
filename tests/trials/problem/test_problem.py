"""A problem file is loaded as its user means it, and each mistake in it is one line."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from optselect.trials.data.fingerprint import hash_modules
from optselect.trials.problem.loading import load_problem
from optselect.trials.terms.bundled import bundled_problems, resolve_problem
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.user_code import leave_a_trace_of_interrupts
from tests.trials.conftest import MakeProblem, WriteProblem

# Finding and loading


def test_bundled_problems_are_found_by_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(bundled_problems()) == {"diabetes", "digits", "fashion", "momentum", "quadratic_deep"}
    assert resolve_problem("digits").name == "digits.py"
    own = tmp_path / "digits"
    own.write_text("")
    monkeypatch.chdir(tmp_path)
    assert resolve_problem("digits") == own.resolve(), "a file that exists wins"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("diabetis", "Did you mean diabetes?"),
        ("my_problem", "Did you mean my_problem.py?"),
        ("missing.py", "There is no problem file 'missing.py'"),
        ("folder/none.py", "There is no problem file"),
        (".", "a folder"),
        ("", "Bundled problems: diabetes, digits, fashion, momentum, quadratic_deep."),
    ],
)
def test_missing_problem_lists_the_bundled_ones(
    write_problem: WriteProblem, monkeypatch: pytest.MonkeyPatch, name: str, part: str
) -> None:
    monkeypatch.chdir(write_problem().parent)
    with pytest.raises(ProblemError) as caught:
        resolve_problem(name)
    assert part in str(caught.value) and "Bundled problems: diabetes" in str(caught.value)


def test_epochs_given_win_over_those_of_fit(write_problem: WriteProblem) -> None:
    assert load_problem(write_problem()).epochs == 3
    assert load_problem(write_problem(), epochs=7).epochs == 7
    assert load_problem(write_problem("del fit")).epochs == 1, "Keras's own default"


SHADOWS = ("storage.py", "search.py", "models.py", "fastai.py", "trials/__init__.py", "trials/layers.py")


def test_the_users_modules_win_over_whatever_is_loaded_and_not_needed(
    write_problem: WriteProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("storage", "search", "models", "trials", "trials.layers", "fastai", "fastai.storages"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # loaded from elsewhere before
    for name in SHADOWS:
        write_problem(name=name, preamble=f"WHOSE = 'the user: {name}'")
    path = write_problem("""
import storage, search, models, fastai
import trials.layers
from trials import WHOSE
seen = [storage.WHOSE, search.WHOSE, models.WHOSE, fastai.WHOSE, WHOSE, trials.layers.WHOSE]
""")
    load_problem(path)
    assert sys.modules["optselect_problem_my_problem"].seen == [f"the user: {name}" for name in SHADOWS]
    assert "fastai.storages" not in sys.modules
    assert set(hash_modules(path)) == {"my_problem.py", *SHADOWS}


def test_imports_inside_the_users_functions_find_the_users_modules(write_problem: WriteProblem) -> None:
    write_problem(name="settings.py", preamble="units = 5")
    problem = load_problem(
        write_problem("""
def model():
    import settings
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(settings.units), keras.layers.Dense(1)])
    net.compile("sgd", loss="mse")
    return net
""")
    )
    assert problem.make_model().layers[0].units == 5
    assert set(hash_modules(problem.path)) == {"my_problem.py", "settings.py"}


def test_problem_called_like_a_library_hides_nothing(write_problem: WriteProblem) -> None:
    loaded = sys.modules["keras"]
    problem = load_problem(write_problem(name="model.py"))
    assert problem.name == "model" and sys.modules["keras"] is loaded


def test_virtual_environment_beside_the_problem_is_not_the_users_code(write_problem: WriteProblem) -> None:
    path = write_problem()
    for name in ("venv/lib/site-packages/other.py", "env/inside.py", "package/own.py"):
        write_problem(name=name, preamble="")
    (path.parent / "env" / "pyvenv.cfg").write_text("")
    for name in ("venv/lib/site-packages/other.py", "env/inside.py", "package/own.py"):
        module = ModuleType(name)
        module.__file__ = str(path.parent / name)
        sys.modules[name] = module
    assert set(hash_modules(path)) == {"my_problem.py", "package/own.py"}


# Mistakes


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("def broken(:", "must be valid Python. Received: SyntaxError: "),
        ("del model", "must define a function model(). Received: nothing of that name"),
        ("del data", "must define a function data(). Received: nothing of that name"),
        ("model = 3", "must define a function model(). Received: int"),
        (
            "import no_such_module",
            "ModuleNotFoundError: No module named 'no_such_module' (my_problem.py, line ",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero (my_problem.py, line "),
        (
            "import sys; sys.exit('bye')",
            "must not end the program when it is imported. Received: SystemExit: bye",
        ),
        ("fit = 3", "fit must be a dict of keyword arguments of Model.fit. Received: int"),
        ("fit = {1: 2}", "fit must be a dict"),
        ("fit = {'epoch': 2}", "Received: 'epoch'. Known: batch_size, epochs"),
        ("fit = {'validation_data': 2}", "fit must not hold 'validation_data': data() gives it"),
        ("fit = {'x': 2}", "fit must not hold 'x'"),
        ("fit = {'y': 2}", "fit must not hold 'y'"),
        ("fit = {'validation_split': 0.2}", "fit must not hold 'validation_split'"),
        ("fit = {'epochs': 0}", "fit['epochs'] must be an integer >= 1. Received: 0"),
        ("fit = {'epochs': None}", "fit['epochs'] must be an integer >= 1. Received: None"),
        ("fit = {'batch_size': 2.5}", "fit['batch_size'] must be an integer >= 1. Received: 2.5"),
        ("fit = {'validation_freq': 2}", "fit['validation_freq'] must be 1"),
        (
            "def data(): raise KeyError('age')",
            "data() must not raise. Received: KeyError: 'age' (my_problem.py, line ",
        ),
        ("def data(): raise SystemExit", "data() must not end the program. Received: SystemExit"),
        ("def data(): return None", "data() must return (train, validation) or (train, validation, test). "),
        ("def data(): return x, y", "The train data must be (x, y) or (x, y, sample_weight) arrays"),
        ("def data(): return (x, y),", "Received: a tuple of 1 (tuple)"),
        ("def data(): return (x, y), (x,)", "The validation data must be (x, y)"),
        ("def data(): return (x, y[:-1]), (x, y)", "same number of rows. Received: x has 50, y has 49"),
        ("def data(): return (x, y, y[:3]), (x, y)", "sample_weight has 3"),
        ("def data(): return (x[:0], y[:0]), (x, y)", "The train data must hold at least one row"),
        ("def data(): return (x, y), ({}, {})", "The validation data must hold at least one row"),
        (
            "def data(): return (x, y), (np.where(x > 1, np.nan, x), y)",
            "validation x must hold finite numbers only. ",
        ),
        (
            "def data(): return (np.where(x > 1, np.nan, x), y), (x, y)",
            "values that are NaN or infinite. Fill what is missing in data(); a tf.data.Dataset may hold it",
        ),
        (
            "def data(): return (x, {'a': y, 'b': np.where(y > 1, np.inf, np.nan)}), (x, y)",
            "train y['b'] must hold finite numbers only. ",
        ),
        ("def data(): return (x, y, np.where(y > 1, np.nan, 1)), (x, y)", "train sample_weight must hold"),
        (
            "def data(): return (x, y), (x, y / 0)",
            "validation y must hold finite numbers only. Received: 50 values",
        ),
        ("def data(): return ({'a': x, 'b': x / 0}, y), (x, y)", "train x['b'] must hold finite"),
        (
            "def data(): return ([[1.0], [2.0]], y), (x, y)",
            "train x[0][0] must be an array; numpy.asarray(...)",
        ),
        ("def data(): return (x.astype(object), y), (x, y)", "dtype=object"),
        ("def data(): return (np.float32(1), y), (x, y)", "without dimensions"),
        (
            "def data(): return ((x, y) for _ in range(3)), (x, y)",
            "cannot be a generator: it is used up after one ",
        ),
        (
            "def data(): return iter([(x, y)]), (x, y)",
            "Write a keras.utils.PyDataset, or tf.data.Dataset.from_generator",
        ),
        (
            "def data(): return tf.data.Dataset.from_tensors((x, y)).take(0), (x, y)",
            "must hold at least one batch",
        ),
        (
            "def data(): return tf.data.Dataset.from_tensors((x, y)).repeat(), (x, y)",
            "fit['steps_per_epoch'] must say",
        ),
        (
            "def data(): return (x, y), tf.data.Dataset.from_tensors((x, y)).repeat()",
            "fit['validation_steps'] must say",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_mistake_in_the_file_is_one_line(write_problem: WriteProblem, source: str, part: str) -> None:
    with pytest.raises(ProblemError) as caught:
        load_problem(write_problem(source))
    message = str(caught.value)
    assert part in message and message.startswith("my_problem.py") and "\n" not in message


def test_syntax_error_names_its_line(write_problem: WriteProblem) -> None:
    path = write_problem(preamble="one = 1\ntwo = = 2\n")
    with pytest.raises(ProblemError, match=r"\(my_problem.py, line 2\)"):
        load_problem(path)


def test_error_in_a_module_beside_the_problem_names_that_module(write_problem: WriteProblem) -> None:
    write_problem(name="inner/columns.py", preamble="\ndef choose():\n    raise ValueError('which?')\n")
    path = write_problem("from inner.columns import choose\ndef data():\n    return choose()\n")
    with pytest.raises(ProblemError, match=r"ValueError: which\? \(inner/columns.py, line 3\)"):
        load_problem(path)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (
            "def model(): pass",
            "must return a compiled keras.Model. Received: NoneType (a return is missing?)",
        ),
        ("def model(): return 'net'", "must return a compiled keras.Model. Received: str"),
        (
            "def model(): return keras.Sequential([keras.layers.Dense(1)])",
            "call model.compile(optimizer=..., loss=...)",
        ),
        (
            "def model(): raise RuntimeError('no GPU')",
            "model() must not raise. Received: RuntimeError: no GPU",
        ),
    ],
)
def test_mistake_in_model_is_one_line(make_problem: MakeProblem, source: str, part: str) -> None:
    with pytest.raises(ProblemError) as caught:
        make_problem(source).make_model()
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_model_must_be_new_each_time(make_problem: MakeProblem) -> None:
    problem = make_problem("made = model()\ndef model(): return made\n")
    first = problem.make_model()
    with pytest.raises(ProblemError, match="must make a new model each time"):
        problem.make_model()
    del first

    problem = make_problem("""
adam = keras.optimizers.Adam()
def model():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    net.compile(adam, loss="mse")
    return net
""")
    problem.make_model()
    with pytest.raises(ProblemError, match="must make a new optimizer each time"):
        problem.make_model()


@pytest.fixture
def traced_interrupts() -> Iterator[None]:
    """Ctrl-C as every process of ours that runs the user's code hears it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    leave_a_trace_of_interrupts()
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "end", ["KeyboardInterrupt", "asyncio.CancelledError", "GeneratorExit", "SystemExit(0)"]
)
@pytest.mark.parametrize("place", ["import", "data"])
def test_whatever_ends_a_program_is_a_failure_of_the_users_code(
    write_problem: WriteProblem, traced_interrupts: None, end: str, place: str
) -> None:
    raises = f"import asyncio\ndef ends():\n    raise {end}\n"
    source = raises + ("ends()" if place == "import" else "data = ends")
    with pytest.raises(ProblemError, match=f"must not end the program.*{end.split('.')[-1].split('(')[0]}"):
        load_problem(write_problem(source))


def test_what_a_library_ends_is_a_failure_of_the_code_that_calls_it(write_problem: WriteProblem) -> None:
    with pytest.raises(ProblemError, match=r"must not end the program.*SystemExit: 2"):
        load_problem(write_problem("import argparse; argparse.ArgumentParser().error('no')"))


def test_ctrl_c_passes_through_the_users_code(write_problem: WriteProblem, traced_interrupts: None) -> None:
    source = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
    with pytest.raises(KeyboardInterrupt):
        load_problem(write_problem(source))
