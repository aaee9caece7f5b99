"""What a shell offers at the press of a key: the names of studies, where a server runs already; it starts nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Shell, query, shell
from tests.support.forked import Forks

TINY = ("--optimizers", "sgd", "--epochs", "1", "--trials", "1", "--in-process", "--workers", "0")
CODE = """
import sys
from optselect.search.cli.app import main
try:
    main()
finally:
    print(*sorted({"sqlalchemy", "optuna", "tensorflow", "mlflow", "numpy"} & set(sys.modules)), file=sys.stderr)
"""


def offered(here: Shell, line: str) -> subprocess.CompletedProcess[str]:
    """What bash gets for a line with the cursor at its end; stderr names the heavy modules that were loaded."""
    asked = {
        "_OPTSELECT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    return subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env={**here.environment, **asked},
        check=False,
    )


def test_names_of_studies_are_completed_without_heavy_modules(at_home: Shell, forked: Forks) -> None:
    done = forked.run(at_home, "launch", "diabetes", "--name", "completed", *TINY)
    assert done.returncode == 0, done.stderr
    found = offered(at_home, "optselect report compl")
    assert (found.stdout.split(), found.stderr) == (["completed"], "\n")
    names = {name for (name,) in query(at_home, "SELECT name FROM optselect.study")}
    assert set(offered(at_home, "optselect compare completed ").stdout.split()) == names


def test_completion_starts_nothing_and_is_silent(tmp_path: Path) -> None:
    found = offered(shell(tmp_path / "home", tmp_path), "optselect report ")
    assert (found.stdout.split(), found.stderr, (tmp_path / "home").exists()) == ([], "\n", False)


@pytest.mark.parametrize("begun", ["optselect exp", "optselect db u"])
def test_commands_are_completed(at_home: Shell, begun: str) -> None:
    assert set(offered(at_home, begun).stdout.split()) in ({"export"}, {"upgrade", "url"})
