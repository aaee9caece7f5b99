"""What --help promises: an example of every command, which the command line would take as it stands."""

import pytest
import typer
from typer.testing import CliRunner

from optselect.search.cli.app import app
from optselect.search.cli.commands.examples import EXAMPLES


def commands() -> list[str]:
    found = typer.main.get_command(app)
    names = []
    for name, command in found.commands.items():  # type: ignore[attr-defined]  # a group
        names += [f"{name} {inner}" for inner in command.commands] if hasattr(command, "commands") else [name]
    return names


@pytest.mark.parametrize("command", commands())
def test_every_command_has_one_example(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert f"Example: optselect {EXAMPLES[command]}" in shown.output


@pytest.mark.parametrize("command", commands())
def test_every_example_is_understood(command: str) -> None:
    words = EXAMPLES[command].split()
    found = typer.main.get_command(app)
    for _ in command.split():
        found = found.commands[words.pop(0)]  # type: ignore[attr-defined]  # a group
    with found.make_context(command, words):  # parses, and runs nothing; raises a usage error
        pass
