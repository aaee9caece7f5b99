"""Code to paste is what was trained; what a script repeats bit for bit is shown in tests/acceptance/test_report.py."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from optselect.search.chosen_code import as_module, optimizer_code
from optselect.trials.configuration import OptimizerConfig, Schedule, keras_code


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
