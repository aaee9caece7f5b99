"""A setting is declared once: whoever is handed one more finds it everywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from pydantic import ValidationError, create_model
from typer.main import get_command
from typer.testing import CliRunner

from optselect.search.cli.commands.declared import Typed, takes
from optselect.search.errors import InvalidInput
from optselect.search.spec.declarations import LaunchSettings
from optselect.search.spec.declaring import setting, settings_of
from optselect.search.spec.requesting import merged
from optselect.search.spec.study_spec import Request, StudySpec, resolve, stored_model
from optselect.search.spec.toml.writing import spec_toml
from tests.support.problems import description
from tests.support.site import load_made_of_code


@dataclass(frozen=True)
class More(Request):
    """Two settings more: one that a study keeps, one of this call only."""

    flavour: Literal["plain", "sweet"] = setting("How it tastes.", "plain", is_stored=True)
    spoons: int = setting("How much of it.", 2, part="command", low=1, high=9)


@pytest.fixture
def app() -> typer.Typer:
    """A command that takes all there is."""
    app = typer.Typer()

    @app.command()
    @takes(declared=More)
    def cook(typed: Typed) -> None:
        asked: Any = merged(typed, More)
        print(asked.trials, asked.flavour, asked.spoons)

    return app


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str) -> Path:
        (tmp_path / "study.toml").write_text(f'problem = "diabetes"\n{text}')
        return tmp_path / "study.toml"

    return written


def printed(app: typer.Typer, *words: str) -> str:
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "160", "NO_COLOR": "1"})
    return str(shown.output if shown.exception is None else shown.exception)


def test_it_is_an_option_with_its_help_its_default_and_its_bounds(app: typer.Typer) -> None:
    lines = [" ".join(line.strip("│").split()) for line in printed(app, "--help").splitlines()]
    assert "--flavour <str> How it tastes. [default: (plain)]" in lines
    assert "--spoons <int range> [1<=x<=9] How much of it. [default: 2]" in lines


def test_it_is_completed(app: typer.Typer) -> None:
    command: Any = get_command(app)
    (option,) = (one for one in command.params if one.name == "flavour")
    offered = option.shell_complete(typer.Context(command), "s")
    assert [item.value for item in offered] == ["sweet"]


def test_it_is_typed_and_asked_for(app: typer.Typer) -> None:
    assert printed(app, "diabetes") == "None plain 2\n"
    assert printed(app, "diabetes", "--flavour", "sweet", "--trials", "7", "--spoons", "3") == "7 sweet 3\n"


def test_it_is_a_key_of_the_file_unless_it_is_of_the_command_and_a_flag_wins(
    app: typer.Typer, write: Any
) -> None:
    file = str(write('flavour = "sweet"'))
    assert printed(app, "--spec", file) == "None sweet 2\n"
    assert printed(app, "--spec", file, "--flavour", "plain") == "None plain 2\n"
    assert printed(app, "--spec", str(write("spoons = 3"))).startswith("There is no key spoons")


def test_a_mistake_is_told_as_it_was_said(app: typer.Typer, write: Any) -> None:
    typed = printed(app, "diabetes", "--flavour", "sour")
    assert typed == '--flavour must be plain or sweet. Received: "sour".'
    read = printed(app, "--spec", str(write('flavour = "sour"')))
    assert read == "flavour must be 'plain' or 'sweet'. Received: flavour='sour' (study.toml, line 2)."
    with pytest.raises(InvalidInput, match=r"--spoons must be a whole number from 1 to 9\. Received: 10\."):
        More("diabetes", spoons=10)


def test_a_study_keeps_it_and_writes_it() -> None:
    spec = resolve(Request("net.py"), description(), bundled=False, folder=Path("/here"))
    form = create_model("MoreSpec", __base__=(StudySpec, stored_model(More)))
    kept: Any = form.model_validate({**spec.model_dump(), "flavour": "sweet"})
    assert 'flavour = "sweet"\n' in spec_toml(kept, "mine", More)
    assert "spoons" not in spec_toml(kept, "mine", More)
    with pytest.raises(ValidationError, match="flavour"):
        form.model_validate({**spec.model_dump(), "flavour": "sour"})


def test_the_reference_tells_of_it(app: typer.Typer) -> None:
    site = load_made_of_code()
    assert '| `flavour` | `"plain"`, `"sweet"` | How it tastes. | plain |' in "\n".join(site.spec_keys(More))
    told = "\n".join(site.command_part(get_command(app), "cook"))
    assert "| `--flavour <str>` | How it tastes. | plain |" in told
    assert "How much of it. | 2 |" in told


def test_what_a_study_keeps_of_its_settings_is_what_is_declared_so() -> None:
    declared = {one.name for one in settings_of(LaunchSettings) if one.is_stored}
    assert declared <= set(StudySpec.model_fields)
    assert set(StudySpec.model_fields) - declared == {
        *("problem", "folder", "optimizers", "trials", "epochs", "objective", "direction"),
        *("averages", "switches", "custom", "space"),
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("seeds = 3", "seeds must be 0, or a whole number from 5 to 200. Received: 3 (study.toml, line 2)."),
        (
            'schedule = ["cosine", "square"]',
            'schedule must be constant, cosine, linear or exponential. Received: "square" (study.toml, line 2).',
        ),
    ],
)
def test_a_value_of_the_file_that_only_the_request_refuses_is_told_with_its_line(
    write: Any, line: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        merged({"spec": write(line)})
    assert str(caught.value) == words
