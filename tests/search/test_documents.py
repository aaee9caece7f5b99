"""What --json promises: each command has one closed schema, and each field says what it means."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from optselect.search.cli.app import app
from optselect.search.documents import DOCUMENTS, document_text, json_schema


def parts_of(command: str) -> Iterator[dict[str, Any]]:
    """Every object with fields in the schema of a command."""
    schema = json_schema(command)
    yield from (part for part in (schema, *schema.get("$defs", {}).values()) if "properties" in part)


def test_every_command_with_json_has_a_document_and_no_other() -> None:
    root: Any = typer.main.get_command(app)
    known = {**root.commands, **{f"db {name}": one for name, one in root.commands["db"].commands.items()}}
    asked = [name for name, command in known.items() if "--json" in str([p.opts for p in command.params])]
    assert sorted(DOCUMENTS) == sorted(asked)


@pytest.mark.parametrize("command", DOCUMENTS)
def test_unknown_fields_are_forbidden(command: str) -> None:
    assert [part["title"] for part in parts_of(command) if part["additionalProperties"] is not False] == []


@pytest.mark.parametrize("command", DOCUMENTS)
def test_every_object_and_every_field_says_what_it_is(command: str) -> None:
    for part in parts_of(command):
        assert part["description"].endswith(".")
        for name, field in part["properties"].items():
            assert field.get("description", "").endswith("."), f"{part['title']}.{name}"


@pytest.mark.parametrize("command", DOCUMENTS)
def test_every_document_has_the_version(command: str) -> None:
    documents = [part for part in parts_of(command) if "schema" in part["properties"]]
    assert documents and all(part["properties"]["schema"]["const"] == 1 for part in documents)
    assert all("schema" in part["required"] for part in documents)


def test_what_is_not_finite_is_printed_as_null() -> None:
    counts: Any = {"schema": 1, "value": math.nan, "ci": [0.5, -math.inf], "params": {"epsilon": math.inf}}
    assert json.loads(document_text(counts)) == {
        "schema": 1,
        "value": None,
        "ci": [0.5, None],
        "params": {"epsilon": None},
    }
