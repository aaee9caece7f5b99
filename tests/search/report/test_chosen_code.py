"""Code to paste is what was trained; what a script repeats bit for bit is shown in tests/acceptance/test_report.py."""

import ast
import io
import re
import tokenize
from typing import TypeGuard

import pytest

from optselect.search.report.chosen_code import (
    Phase,
    as_module,
    imported_files,
    optimizer_code,
    training_script,
)
from optselect.storage.records.overview import TrialRow
from optselect.trials.terms.configuration import (
    Configuration,
    OptimizerConfig,
    Schedule,
    Switch,
    configuration_code,
    keras_code,
    with_imports,
)
from optselect.trials.terms.reference import BUNDLE_FOLDER

RUN = TrialRow(
    1, 1, 1, "final", "Mine", "complete", 0.5, 3, {}, 1, 200, None, None, 1.0, "tuned", {}, None, None
)  # fmt: skip


def test_exact_code_has_every_bit_of_its_numbers() -> None:
    config = OptimizerConfig("Adam", {"learning_rate": 0.1 + 0.2, "amsgrad": True})
    assert (
        keras_code(config, exact=True)
        == "keras.optimizers.Adam(learning_rate=0.30000000000000004, amsgrad=True)"
    )
    assert keras_code(config) == "keras.optimizers.Adam(learning_rate=0.3, amsgrad=True)"


def test_exact_code_of_a_schedule_is_exact_too() -> None:
    config = OptimizerConfig("SGD", {"learning_rate": 0.1 + 0.2}, Schedule("cosine", 100, end_factor=1 / 3))
    assert "CosineDecay(0.30000000000000004, 100, alpha=0.3333333333333333)" in keras_code(config, exact=True)
    assert "CosineDecay(0.3, 100, alpha=0.333333)" in keras_code(config)


def test_muon_leaves_out_the_output_layers_as_in_training() -> None:
    code = optimizer_code(OptimizerConfig("Muon", {"learning_rate": 0.01}), ["dense_1", "head"])
    assert code.endswith("exclude_layers=['(^|/)dense_1/', '(^|/)head/'])")
    assert ast.parse(code)


@pytest.mark.parametrize(
    ("first", "source"),
    [
        ("", 'if __name__ == "__main__":\n    raise SystemExit("ran as a program")\n'),
        (
            '"""Words."""\nfrom __future__ import annotations',
            '\nX = 1\nif __name__ == "__main__":\n    pass\n',
        ),
        ('"""Words."""', "@staticmethod\ndef f(): ...\n\x0c\nlast = '__main__'\n"),
        ("from __future__ import annotations", "X = 1\nlast = '__main__'\n"),
    ],
)
def test_threads_and_seeds_come_before_all_that_python_lets_them(first: str, source: str) -> None:
    between = "; " if source.startswith("X") else "\n"
    script = as_module(f"{first}{between}{source}" if first else source)
    compile(script, "script.py", "exec")
    own = script.index(source.strip().splitlines()[0])
    order = [
        script.index(first),
        *map(script.index, ("import os as _os", "_threads(1)", "_np.random.seed(0)")),
        own,
    ]
    assert order == sorted(order)
    assert script.index('__name__ = "problem"') < own


@pytest.mark.parametrize("source", ["_steps = 5\n", "def _train(): ...\n", "import numpy as _np\n"])
def test_a_name_of_the_problem_is_not_overwritten_by_one_of_ours(source: str) -> None:
    script = script_of([], {"net.py": source})
    (name,) = {"_steps", "_train", "_np"} & set(re.findall(r"\w+", source))
    assert len(re.findall(rf"\b{name}\b", script)) == 1
    assert f"_optselect{name}" in script and ast.parse(script)


def test_a_script_is_utf_8_whatever_the_file_was() -> None:
    script = script_of(
        [], {"net.py": "\ufeff#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nX = 'größe'\n"}
    )
    assert "\n#!/usr/bin/python\n# vim: set fileencoding=utf-8 :\n" in script
    assert tokenize.detect_encoding(io.BytesIO(script.encode()).readline)[0] == "utf-8" and ast.parse(
        script.encode()
    )


@pytest.mark.parametrize("objective", ["val_recall@5", "val_'{x}'", 'val_"f1"'])
def test_an_objective_of_any_name_is_printed(objective: str) -> None:
    script = training_script(
        study="mine",
        run=RUN,
        phases=[],
        epochs=3,
        objective=objective,
        source_name="net.py",
        bundle={"net.py": ""},
    )
    printed = [
        ast.literal_eval(node.args[1])
        for node in ast.walk(ast.parse(script))
        if is_print(node) and len(node.args) == 3
    ]
    assert printed == [objective, objective]


def is_print(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"


def test_code_to_paste_begins_with_all_that_it_needs() -> None:
    warm = Schedule("constant", 100, warmup_steps=10)
    first = OptimizerConfig("Mine", {"learning_rate": 0.1}, warm, module="my-own")
    switched = Configuration(first, (Switch(2, OptimizerConfig("SGD", {})), Switch(3, first)))
    *imports, one, two, three = with_imports(configuration_code(switched)).splitlines()
    assert imports == [
        "import keras",
        "from optselect.trials.schedules import WarmedUp",
        "Mine = __import__('importlib').import_module('my-own').Mine",
    ]
    assert (one.partition("  # ")[0], two.partition("  # ")[0]) == (
        "Mine(learning_rate=WarmedUp(0.1, 10, None))",
        "keras.optimizers.SGD()",
    )
    assert three.endswith("the weights stay")


def test_a_script_needs_the_files_of_the_problem_and_of_its_own_optimizers_only() -> None:
    mine, other = (f"{BUNDLE_FOLDER}/{name}/{name.lower()}.py" for name in ("Mine", "Other"))
    bundle = {"net.py": "", "layers.py": "", mine: "", other: ""}
    assert imported_files(bundle, "net.py", ["from mine import Mine"]) == ["layers.py", "mine.py"]


def script_of(phases: list[Phase], bundle: dict[str, str], precision: str | None = None) -> str:
    """A script of three epochs; a mixed precision scales the loss."""
    return training_script(
        study="mine",
        run=RUN,
        phases=phases,
        epochs=3,
        objective="val_loss",
        source_name="net.py",
        bundle=bundle,
        precision=precision,
        scales_loss=precision is not None,
    )


@pytest.mark.parametrize("module", ["net", "mine"])
def test_a_script_imports_the_users_own_class_unless_it_stands_there(module: str) -> None:
    code = optimizer_code(OptimizerConfig("Mine", {"learning_rate": 0.1}, module=module), [], exact=True)
    bundle = {"net.py": "# the problem\n", "optselect-optimizers/Mine/mine.py": ""}
    script = script_of([Phase(3, code)], bundle)
    assert "\nmodel.optimizer = Mine(learning_rate=0.1)\n" in script and ast.parse(script)
    assert ("\nfrom mine import Mine\n" in script) == (module == "mine")
    assert "import Mine" in script or module == "net"
    assert "What it imports of these must lie beside it: mine.py." in script


def test_a_script_sets_the_precision_before_the_problem_and_scales_the_loss_as_compile_does() -> None:
    code = optimizer_code(OptimizerConfig("Mine", {"learning_rate": 0.1}, module="mine"), [], exact=True)
    bundle = {"net.py": '"""A docstring."""\nimport keras\n\ndense = keras.layers.Dense(1)\n'}
    script = script_of([Phase(3, code)], bundle, "mixed_float16")
    assert "\nmodel.optimizer = keras.optimizers.LossScaleOptimizer(Mine(learning_rate=0.1))\n" in script
    policy, problem = script.index("set_dtype_policy('mixed_float16')"), script.index("dense = ")
    assert script.index('"""A docstring."""') < policy < problem and ast.parse(script)


def test_a_script_leaves_the_users_own_optimizer_as_compile_has_wrapped_it() -> None:
    script = script_of([], {"net.py": "# the problem\n"}, "mixed_float16")
    assert "\nmodel.optimizer = model.optimizer  # the one of model()\n" in script
