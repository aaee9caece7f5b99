"""Every document of the reference is printed by a real command in some acceptance test.

Shell.json and Forks.json hold each answer to the schema of its command; here stands only that none is left out.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from optselect.search.documents import DOCUMENTS
from tests.support.documents import check_document

SEVERAL = (
    r"show \S+",
    r"show \S+ \d+",
    r"sync \S+",
    r"sync \S+ --check",
    r"optimizers",
    r"optimizers \S+",
    r"db status",
    r"db status --storage \S+",
)
"""Lines after which one command prints different documents."""


def typed_lines() -> Iterator[str]:
    """The command lines whose answer a test reads, without --json; what is no string stands as in the source."""
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "json"
            ):
                words = [a.value if isinstance(a, ast.Constant) else ast.unparse(a) for a in node.args]
                yield " ".join(map(str, words if isinstance(node.args[0], ast.Constant) else words[1:]))


TYPED = list(typed_lines())


@pytest.mark.parametrize("line", [*(rf"{command}( .*)?" for command in DOCUMENTS), *SEVERAL])
def test_some_test_reads_the_document_of_every_command(line: str) -> None:
    assert any(re.fullmatch(line, typed) for typed in TYPED)


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ('{"schema": 1, "files": ["a.py"], "more": 1}', "more"),
        ('{"schema": 1}', "files"),
        ('{"schema": 2, "files": []}', "1 was expected"),
        ('{"schema": NaN, "files": []}', "no JSON"),
    ],
)
def test_an_answer_that_is_not_its_document_fails_the_test_that_asked(printed: str, why: str) -> None:
    with pytest.raises(Exception, match=why):
        check_document(["init", "--json"], printed)
