"""How does one begin? With a problem file and a spec that work as they are, and say what to change."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import typer

from optselect.search.cli.terminal import print_document
from optselect.search.documents import SCHEMA, Written
from optselect.search.errors import InvalidInput
from optselect.search.named_file import write_named
from optselect.search.names import study_name
from optselect.search.near_names import did_you_mean
from optselect.search.spec.declaring import demand_one_of

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
TASKS = ("regression", "classification")


@dataclass(frozen=True)
class Start:
    """What was said; None: to be asked for, or the default where nobody can be asked."""

    name: str | None = None
    task: str | None = None
    data: Path | None = None
    target: str | None = None


def write_start(said: Start, force: bool, as_json: bool) -> None:
    """Write NAME.py and NAME.toml into this folder; raises InvalidInput where they exist already."""
    start = completed(said)
    assert start.name is not None
    study_name(start.name, Path(start.name))
    texts = {
        Path(f"{start.name}{ending}"): rendered(template, start)
        for template, ending in (("problem.py.jinja", ".py"), ("spec.toml.jinja", ".toml"))
    }
    there = [str(file) for file in texts if file.exists()]
    if there and not force:
        raise InvalidInput(
            f"init writes over nothing. Received: {' and '.join(there)}, which are here already. Take another --name, or "
            "write over them: --force"
        )
    for file, text in texts.items():
        write_named(file, text.encode())
    if as_json:
        written: Written = {"schema": SCHEMA, "files": list(map(str, texts))}
        print_document(written)
    else:
        print("\n".join([*map(str, texts), f"next: optselect check --spec {start.name}.toml"]))


def completed(said: Start) -> Start:
    """Ask for what is open at a terminal; elsewhere take the defaults."""
    ask = sys.stdin.isatty() and sys.stderr.isatty()
    name = said.name or (typer.prompt("Name of the problem", "my_problem", err=True) if ask else "my_problem")
    task = said.task or (
        typer.prompt(f"What is predicted ({' or '.join(TASKS)})", TASKS[0], err=True) if ask else TASKS[0]
    )
    demand_one_of("task", task, TASKS)
    data = said.data
    if data is None and ask:
        typed = typer.prompt("A CSV file with your data (empty: a small real one)", "", err=True)
        data = Path(typed) if typed else None
    target = said.target
    if data is None:
        if target is not None:
            raise InvalidInput(f"--target names a column of --data. Received: --target {target} alone.")
        return Start(name, task)
    columns = header_of(data)
    if target is None:
        target = typer.prompt("Which column is predicted", columns[-1], err=True) if ask else columns[-1]
    return Start(name, task, data, known_column(target, columns, data))


def header_of(file: Path) -> Sequence[str]:
    """The names of a table's columns; raises InvalidInput."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            columns = next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"--data must be a CSV file that can be read. Received: {file} ({error})."
        ) from error
    if len(columns) < 2:
        raise InvalidInput(
            f"--data must have a line of column names, with commas. Received: {columns} in {file}."
        )
    return columns


def known_column(target: str, columns: Sequence[str], file: Path) -> str:
    if target in columns:
        return target
    raise InvalidInput(
        f"--target must be a column of {file}: {', '.join(columns)}. Received: {target}."
        + did_you_mean(target, columns)
    )


def rendered(template: str, start: Start) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is no page
    )
    return environment.get_template(template).render(
        name=start.name,
        task=start.task,
        data=None if start.data is None else json.dumps(str(start.data.absolute())),
        target=json.dumps(start.target),
    )
