"""What the README shows works as it stands: its problem file, its spec, its commands, in the order of the page.

Its first block, the installation, is run by .ci/run itself. What is launched here trains with --in-process: that
training processes do the same is the matter of test_launch.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.acceptance.commands import Shell, shell
from tests.acceptance.forked import Forks

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
FILES = [text for language, text in BLOCKS if language in ("python", "toml")]
COMMANDS = [
    line
    for language, text in BLOCKS[1:]
    if not language
    for line in text.splitlines()
    if line.startswith("optselect ")
]


@pytest.fixture(scope="module")
def reader(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in whose folder the README's files were saved under the names that they give themselves."""
    folder = tmp_path_factory.mktemp("reader")
    for text in FILES:
        name = re.match(r"# ([\w.]+)\n", text)
        assert name is not None
        (folder / name[1]).write_text(text)
    return shell(acceptance_home, folder)


def test_the_readme_shows_a_problem_a_spec_and_commands() -> None:
    assert len(FILES) == 2
    assert len(COMMANDS) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_runs(reader: Shell, forked: Forks, command: str) -> None:
    arguments = shlex.split(command)[1:]
    done = forked.run(reader, *arguments, *(["--in-process"] if arguments[0] == "launch" else []))
    assert done.returncode == 0, done.stderr


def test_a_study_of_the_readme_is_shown_as_a_file_that_launches_the_very_same(
    reader: Shell, forked: Forks
) -> None:
    (reader.folder / "printed.toml").write_text(forked.run(reader, "show", "cancer-narrow").stdout)
    again = forked.run(reader, "launch", "--spec", "printed.toml")
    assert again.returncode == 0, again.stderr
    assert "6 of 6 trials" in again.stdout


def test_reading_commands_of_the_readme_know_its_study(reader: Shell, forked: Forks) -> None:
    for command in ("status", "trials", "show"):
        assert forked.run(reader, command, "cancer").returncode == 0
    assert "keras.optimizers.Adam" in forked.run(reader, "show", "cancer", "3").stdout
