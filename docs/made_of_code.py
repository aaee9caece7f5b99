"""Which parts of the site does the code know already? Commands, keys, ranges, exit codes, JSON, files from outside docs/.

A page says where such a part stands, by the line <!-- made of code: NAME -->; mkdocs calls the functions whose names
begin with on_. So a page says nothing of an option or a range that the code does not.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from optselect.search.cli.app import COMMANDS, app
from optselect.search.documents import DOCUMENTS, json_schema
from optselect.search.spec.catalogue import ENTRIES
from optselect.search.spec.declarations import LaunchSettings
from optselect.search.spec.declaring import settings_of
from optselect.search.spec.dimension import Dimension
from optselect.search.spec.toml.reading import file_model

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PLACE = re.compile(r"^<!-- made of code: (.+) -->$", re.MULTILINE)


def on_config(config: Any) -> None:
    """Every decision is in the navigation, by its number."""
    design = next(entry["Design"] for entry in config.nav if "Design" in entry)
    decisions = next(entry["Decisions"] for entry in design if "Decisions" in entry)
    decisions.extend(f"decisions/{page.name}" for page in decision_pages())


def on_files(files: Any, config: Any) -> None:
    """Every JSON Schema is a file of the site."""
    from mkdocs.structure.files import File  # the tests of this module do without mkdocs

    for name, text in schemas().items():
        files.append(File.generated(config, f"reference/{name}", content=text))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put every part in its place."""
    return PLACE.sub(lambda place: made(place[1]), markdown)


def made(name: str) -> str:
    """The Markdown of one part; a name that is none is a file of the repository."""
    if name in PARTS:
        return "\n".join(PARTS[name]())
    path, _, class_name = name.partition(" ")
    text = (ROOT / path).read_text("utf-8")
    if class_name:
        text = source_of(class_name, text)
    if path.endswith(".py"):
        return f"```python\n{text}```"
    return text.partition("\n")[2].replace("](docs/", "](")  # without its title, which the page has


def source_of(class_name: str, text: str) -> str:
    """One class of a module, with its decorators."""
    found = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    node = next(node for node in found if node.name == class_name)
    lines = text.splitlines(keepends=True)
    return "".join(lines[node.decorator_list[0].lineno - 1 : node.end_lineno])


# --- commands -----------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Each command as its --help has it, in the same order."""
    root: Any = get_command(app)
    for functions in COMMANDS.values():
        for function in functions:
            yield from command_part(root.commands[function.__name__], f"optselect {function.__name__}")
    for name, command in root.commands["db"].commands.items():
        yield from command_part(command, f"optselect db {name}")


def command_part(command: Any, name: str) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    words = [name, *(shown_argument(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])]
    yield f"## {name}\n\n{command.help}\n\n```text\n{' '.join(words)}\n```\n"
    if command.epilog:
        yield f"{command.epilog.replace('Example: ', 'Example: `')}`\n"
    rows = [
        *((f"`{shown_argument(argument).strip('[]')}`", argument.help, "") for argument in arguments),
        *((shown_option(option, command), option.help, shown_default(option)) for option in options),
    ]
    yield from table(("", "what it is", "default"), [row for row in rows if row[1]])


def shown_argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def shown_option(option: Any, command: Any) -> str:
    """As --help has it, without the flag's opposite."""
    words, _ = option.get_help_record(typer.Context(command))
    return f"`{words.partition(' / ')[0].replace(' range>', '>')}`"


def shown_default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    return str(option.default) if option.show_default and not option.is_flag else ""


# --- the spec file ------------------------------------------------------------------------------------


def spec_keys(declared: type[LaunchSettings] = LaunchSettings) -> Iterator[str]:
    """The keys of a spec file, in the words of the flags of the same names; tables are told on the page itself."""
    kinds: Mapping[str, Any] = file_model(declared).model_json_schema()["properties"]
    yield from table(
        ("key", "is", "says", "default"),
        [
            (f"`{one.name}`", shown_kind(kinds[one.name]), one.help, one.shown_default)
            for one in settings_of(declared)
            if one.is_key and not one.has_tables
        ],
    )


def shown_kind(kind: Mapping[str, Any]) -> str:
    """What TOML may say, of what JSON Schema says.

    >>> shown_kind({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]})
    'a whole number from 1 to 9'
    """
    if "anyOf" in kind:
        return ", or ".join(shown_kind(one) for one in kind["anyOf"] if one.get("type") != "null")
    if "enum" in kind or "const" in kind:
        return ", ".join(f'`"{value}"`' for value in kind.get("enum", [kind.get("const")]))
    if kind["type"] == "integer":
        most = f" to {kind['maximum']:,}" if "maximum" in kind else " on"
        return f"a whole number from {kind['minimum']}{most}"
    return {"string": "a string", "array": "a list of strings", "boolean": "true or false"}[kind["type"]]


# --- what --json prints -------------------------------------------------------------------------------


def json_documents() -> Iterator[str]:
    """Each command's document as a table of its fields; what it is made of stands behind the first that has it."""
    told: set[str] = set()
    for document in dict.fromkeys(DOCUMENTS.values()):
        commands = [command for command, one in DOCUMENTS.items() if one == document]
        schema = json_schema(commands[0])
        files = ", ".join(f"[{schema_file(one)}]({schema_file(one)})" for one in commands)
        what = f"Prints {json_type(schema)}." if "anyOf" in schema else schema["description"]
        yield f"## {', '.join(f'optselect {one}' for one in commands)}\n\n{what} Schema: {files}\n"
        yield from fields(schema)
        for name, part in parts_of(schema).items():
            if name not in told:
                yield f"### {name}\n\n{part['description']}\n"
                yield from fields(part)
        told |= set(parts_of(schema))


def parts_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The objects within a document, in the order in which one meets them."""
    found: dict[str, Any] = {}
    kinds = [{**schema, "$defs": {}}]
    for kind in kinds:
        for name in re.findall(r"#/\$defs/(\w+)", json.dumps(kind)):
            if name not in found:
                found[name] = schema["$defs"][name]
                kinds.append(found[name])
    return found


def schemas() -> Mapping[str, str]:
    """The text of each file, by its path from the page."""
    return {schema_file(command): json.dumps(json_schema(command), indent=2) + "\n" for command in DOCUMENTS}


def schema_file(command: str) -> str:
    return f"schemas/{command.replace(' ', '-')}.json"


def fields(part: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, field in part.get("properties", {}).items():
        absent = "" if name in part["required"] else "<br>*may be absent*"
        rows.append((f"`{name}`{absent}", json_type(field), field["description"]))
    yield from table(("field", "type", "meaning"), rows)


def json_type(kind: Mapping[str, Any]) -> str:
    """What a value may be, in the words of JSON Schema; an object of ours is a link.

    >>> json_type({"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Trial"}, {"type": "null"}]}})
    'list of [Trial](#trial) or null'
    """
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in kind:
        names = [json_type(one) for one in kind["anyOf"]]
        return " or ".join(name for name in names if name != "integer" or "number" not in names)
    if "enum" in kind or "const" in kind:
        return ", ".join(f"`{json.dumps(value)}`" for value in kind.get("enum", [kind.get("const")]))
    if kind.get("type") == "array":
        return f"list of {'two ' if 'maxItems' in kind else ''}{json_type(kind['items'])}"
    if kind.get("type") == "object":
        values = kind["additionalProperties"]
        return "object" if values is True else f"object of {json_type(values)}, by name"
    return str(kind["type"])


# --- what else the code knows -------------------------------------------------------------------------


def catalogue() -> Iterator[str]:
    """Every optimizer with its ranges."""
    yield from table(
        ("optimizer", "searched first", "with more trials", "why so"),
        [
            (
                f"**{entry.optimizer}**{'' if entry.default else '<br>*by name only*'}",
                ranges(entry.tier_1),
                ranges(entry.tier_2),
                ". ".join(filter(None, (entry.source, entry.remark))),
            )
            for entry in ENTRIES
        ],
    )


def ranges(dimensions: Sequence[Dimension]) -> str:
    whole = (f'<span class="whole">`{one.keyword}` {one.shown_range()}</span>' for one in dimensions)
    return "<br>".join(whole)


def exit_codes() -> Iterator[str]:
    """Both families, with the docstrings of their members."""
    tree = ast.parse((ROOT / "search" / "exit_codes.py").read_text("utf-8"))
    for family in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        yield f"\n{ast.get_docstring(family)}\n"
        yield from table(("code", "name", "when"), list(members(family)))


def members(family: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    for node, after in zip(family.body, [*family.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.Assign):
            words = ast.literal_eval(after.value) if isinstance(after, ast.Expr) else ""
            yield ast.unparse(node.value), ast.unparse(node.targets[0]).lower().replace("_", " "), words


def modules() -> Iterator[str]:
    """Each wing with its question, and the questions of its modules."""
    for top in ("search", "trials", "storage"):
        for folder in sorted({file.parent for file in (ROOT / top).rglob("*.py")} - migrations()):
            yield f"## {folder.relative_to(ROOT)}/\n\n{said_by(folder / '__init__.py')}\n"
            files = sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")
            yield from table(("file", "question"), [(f"`{file.name}`", said_by(file)) for file in files])


def migrations() -> set[Path]:
    """Folders of revisions, which answer no question."""
    return {file.parent for file in (ROOT / "storage").rglob("migrations/**/*.py")}


def said_by(file: Path) -> str:
    """The first paragraph of a module."""
    said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split()).replace("|", "\\|")


def decisions() -> Iterator[str]:
    """A list of all pages, by their titles."""
    for page in decision_pages():
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        yield f"- [{title.replace('. ', '&nbsp; ', 1)}]({page.name})"


def decision_pages() -> list[Path]:
    return sorted((DOCS / "decisions").glob("[0-9]*.md"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; nothing where it has no rows."""
    if not rows:
        return
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


PARTS = {
    "commands": commands,
    "spec keys": spec_keys,
    "json documents": json_documents,
    "catalogue": catalogue,
    "exit codes": exit_codes,
    "modules": modules,
    "decisions": decisions,
}
