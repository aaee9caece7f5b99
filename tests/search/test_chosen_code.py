"""Code to paste is what was trained; what a script repeats bit for bit is shown in tests/acceptance/test_report.py."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from optselect.search.chosen_code import Phase, as_module, imported_files, optimizer_code, training_script
from optselect.storage.overview import TrialRow
from optselect.trials.configuration import OptimizerConfig, Schedule, keras_code
from optselect.trials.reference import BUNDLE_FOLDER

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
    "source",
    [
        'if __name__ == "__main__":\n    raise SystemExit("ran as a program")\n',
        '"""A docstring."""\nfrom __future__ import annotations\n\nif __name__ == "__main__":\n    raise SystemExit(1)\n',
    ],
)
def test_what_a_problem_does_as_a_program_is_not_done_in_the_script(source: str, tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(as_module(source) + "print('went on')\n")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr


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
