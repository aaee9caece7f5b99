"""The site tells of everything that is there: each page in the navigation, each command and key in the reference.

`make docs` builds it, strictly; these tests need no mkdocs.
"""

import doctest
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from optselect.search.cli.app import COMMANDS, DATABASE
from optselect.search.documents import DOCUMENTS
from optselect.search.exit_codes import UserExit, WorkerExit
from optselect.search.spec.catalogue import CATALOGUE
from optselect.search.spec.toml.reading import file_model
from tests.support.site import DOCS, load_made_of_code, module_of_docs

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.fixture(scope="module")
def made_of_code() -> Any:
    """The hook of mkdocs."""
    return load_made_of_code()


def test_every_page_is_in_the_navigation_of_mkdocs_yml() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = set(re.findall(r"[\w./-]+\.md", navigation))
    there = {str(page.relative_to(DOCS)) for page in PAGES if not re.match(r"\d{4}-", page.name)}
    assert listed == there


def test_every_decision_is_in_the_navigation_and_in_the_list(made_of_code: Any) -> None:
    pages = [page.name for page in PAGES if page.parent.name == "decisions" and page.name != "index.md"]
    decisions = ["decisions/index.md"]
    config = SimpleNamespace(nav=[{"Design": [{"Decisions": decisions}]}])
    made_of_code.on_config(config)
    assert decisions[1:] == [f"decisions/{name}" for name in pages]
    assert re.findall(r"\((\S+\.md)\)", made_of_code.made("decisions")) == pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_what_a_page_takes_from_the_code_is_there(made_of_code: Any, page: Path) -> None:
    text = page.read_text()
    places = text.count("<!-- made of code")
    filled = made_of_code.on_page_markdown(text, None, None, None)
    assert "<!-- made of code" not in filled
    assert len(filled) > len(text) or not places


def test_the_picture_of_the_wings_is_that_of_the_contracts() -> None:
    wings = module_of_docs("make_wings")
    assert wings.PICTURE.read_text("utf-8") == wings.picture(), "python docs/make_wings.py"


def test_every_module_stands_in_the_reference_with_its_question(made_of_code: Any) -> None:
    rows = re.findall(r"^\| `(\w+\.py)` \| (.+) \|$", made_of_code.made("modules"), re.MULTILINE)
    files = [f for top in ("search", "trials", "storage") for f in (ROOT / top).rglob("*.py")]
    own = [f.name for f in files if "migrations" not in f.parts and f.name != "__init__.py"]
    assert sorted(name for name, _ in rows) == sorted(own)
    assert all(len(question) > 20 for _, question in rows)


def test_the_reference_has_every_command_with_its_options(made_of_code: Any) -> None:
    text = made_of_code.made("commands")
    names = [function.__name__ for functions in COMMANDS.values() for function in functions]
    for name in [*names, *(f"db {function.__name__}" for function in DATABASE)]:
        assert f"\n## optselect {name}\n" in f"\n{text}"
    assert "| `--trials <int>` | Search trials in all. | 24 |" in text
    assert "--gives-way" not in text  # hidden ones are between our own processes


def test_the_reference_has_every_key_of_a_spec_file(made_of_code: Any) -> None:
    told = re.findall(r"^\| `(\w+)` ", made_of_code.made("spec keys"), re.MULTILINE)
    assert {*told, "switch", "space"} == set(file_model().model_fields)


def test_the_reference_has_every_document_and_links_to_what_it_is_made_of(made_of_code: Any) -> None:
    text = made_of_code.made("json documents")
    for command in DOCUMENTS:
        assert re.search(rf"^## .*optselect {command}\b", text, re.MULTILINE)
    told = {title.lower() for title in re.findall(r"^### (\w+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", text)) == told


def test_each_document_links_to_a_file_that_is_a_json_schema(made_of_code: Any) -> None:
    linked = re.findall(r"\((schemas/\S+)\)", made_of_code.made("json documents"))
    files = made_of_code.schemas()
    assert sorted(linked) == sorted(files) and len(files) == len(DOCUMENTS)
    for text in files.values():
        Draft202012Validator.check_schema(json.loads(text))


def test_the_reference_has_every_optimizer_and_exit_code(made_of_code: Any) -> None:
    assert all(f"**{name}**" in made_of_code.made("catalogue") for name in CATALOGUE)
    codes = re.findall(r"^\| (\d+) ", made_of_code.made("exit codes"), re.MULTILINE)
    assert [int(code) for code in codes] == [*UserExit, *WorkerExit]


def test_the_examples_in_the_hook_hold(made_of_code: Any) -> None:
    assert doctest.testmod(made_of_code).failed == 0


def test_each_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text("utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"\ndef {name}(" not in (ROOT / "tests" / file).read_text()
    ]
    assert len(named) > 10 and not missing
