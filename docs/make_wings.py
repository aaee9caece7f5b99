"""How do the wings stand on each other? A picture of the layers that import-linter checks, with each wing's question.

python docs/make_wings.py        writes docs/pictures/wings.svg
"""

import ast
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "wings.svg"
ROW, GAP, MARGIN, TITLE = 54, 20, 16, 34
LEFT, RIGHT, BETWEEN = 520, 380, 44
"""Sizes and distances, in pixels."""
LETTER = 6.1
"""Width of a small letter, on average."""

Layer = Sequence[str]


@dataclass(frozen=True)
class Panel:
    """One top-level folder, and where it is drawn."""

    folder: str
    layers: Sequence[Layer]
    left: float
    top: float
    width: float

    @property
    def height(self) -> float:
        return TITLE + len(self.layers) * (ROW + GAP) - GAP + MARGIN


def picture() -> str:
    """The whole picture, as SVG."""
    layers = {folder: layers_of(folder) for folder in ("search", "trials", "storage")}
    search = Panel("search", layers["search"], MARGIN, MARGIN, LEFT)
    trials = Panel("trials", layers["trials"], search.left + LEFT + BETWEEN, MARGIN, RIGHT)
    storage = Panel("storage", layers["storage"], MARGIN, search.top + search.height + BETWEEN, LEFT)
    panels = (search, trials, storage)
    parts = [part for panel in panels for part in drawn(panel)]
    side, below = search.top + TITLE, search.left + LEFT / 2
    parts.append(arrow(search.left + LEFT, side, trials.left, side))
    parts.append(arrow(below, search.top + search.height, below, storage.top))
    width = trials.left + RIGHT + MARGIN
    height = max(panel.top + panel.height for panel in panels) + MARGIN
    return "\n".join([head(width, height), *parts, "</svg>", ""])


def layers_of(folder: str) -> list[Layer]:
    """The wings of a folder from the top, those that do not know each other side by side."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    found = next(c for c in contracts if c.get("containers") == [f"optselect.{folder}"])
    return [[name.strip() for name in layer.split("|")] for layer in found["layers"]]


def question_of(folder: str, wing: str) -> str:
    """The sentence on a wing's door, or that of a module in its place; without what follows a first question."""
    door = ROOT / folder / wing / "__init__.py"
    file = door if door.exists() else ROOT / folder / f"{wing}.py"
    said = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    first = said.splitlines()[0]
    return first.partition("?")[0] + "?" if "?" in first else first


def head(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}"'
        f' viewBox="0 0 {width:g} {height:g}" font-family="system-ui, sans-serif">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5c6bc0"/></marker></defs>\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>'
    )


def drawn(panel: Panel) -> Iterator[str]:
    """A folder with its wings; an arrow leads from each layer to the one below."""
    yield box(panel.left, panel.top, panel.width, panel.height, "#f4f5fb", "#c5cae9")
    yield words(panel.left + MARGIN, panel.top + 23, f"{panel.folder}/", 15, bold=True)
    for number, layer in enumerate(panel.layers):
        top = panel.top + TITLE + number * (ROW + GAP)
        yield from row(panel, layer, top)
        if number + 1 < len(panel.layers):
            middle = panel.left + panel.width / 2
            yield arrow(middle, top + ROW, middle, top + ROW + GAP)


def row(panel: Panel, layer: Layer, top: float) -> Iterator[str]:
    """The wings of one layer, side by side."""
    width = (panel.width - MARGIN * (len(layer) + 1)) / len(layer)
    for place, wing in enumerate(layer):
        left = panel.left + MARGIN + place * (width + MARGIN)
        yield box(left, top, width, ROW, "#ffffff", "#5c6bc0")
        yield words(left + 8, top + 17, wing, 13, bold=True)
        lines = textwrap.wrap(question_of(panel.folder, wing), int((width - 12) / LETTER))
        for number, line in enumerate(lines[:3]):
            yield words(left + 8, top + 32 + 14 * number, line, 11)


def box(left: float, top: float, width: float, height: float, fill: str, line: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{line}"/>'


def words(left: float, base: float, text: str, size: int, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{left:g}" y="{base:g}" font-size="{size}" fill="#1a237e"{weight}>{escape(text)}</text>'


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#5c6bc0" stroke-width="1.4" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
