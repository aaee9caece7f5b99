"""Does a command print what a page shows below it? The same words, columns and order, whatever the numbers.

`...` stands for what is left out. Numbers, times, identifiers, bars, folders and the width of columns may differ; lines
that then are alike, one below the other, count once, so that a table may have other rows of the same kind.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

LEFT_OUT = "..."
LAYOUT = ((re.compile(r"[─━]+"), ""), (re.compile(r"\s+"), " "))
NUMBERS = (
    (re.compile(r"\b[0-9a-f]{12,}\b"), "0"),
    (re.compile(r"\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?"), "0"),
    (re.compile(r"(?<!\S)-(?!\S)"), "0"),  # in tables
    (re.compile(r"\b0 (?:s|min|h)\b"), "0 s"),
    (re.compile(r"[▁▂▃▄▅▆▇█]+"), "▁"),
)


def difference(shown: str, printed: str, folders: Mapping[str, str], exact: bool = False) -> str:
    """What a page would have to show; empty where it is right.

    Args:
        folders: what pages write in place of a folder of the test.
        exact: whether numbers, too, must be those that are printed.

    >>> difference("2 of 3 trials ... best 0.1", "18 of 36 trials, 2 running; best 2.5e-05", {})
    ''
    >>> difference("2 trials", "3 trials", {}, exact=True).splitlines()[-2:]
    ['-2 trials', '+3 trials']
    """
    for folder, name in folders.items():
        printed = printed.replace(folder, name)
    wanted, came = (list(alike(text, exact)) for text in (shown, printed))
    if pattern(wanted).fullmatch(" ".join(came)):
        return ""
    return "\n".join(difflib.unified_diff(wanted, came, "shown", "printed", n=99, lineterm=""))


def pattern(lines: Sequence[str]) -> re.Pattern[str]:
    """What matches any output of the same words.

    >>> bool(pattern(["a b", "...", "c"]).fullmatch("a b x y c"))
    True
    """
    parts = " ".join(lines).split(LEFT_OUT)
    return re.compile(".*".join(re.escape(part.strip()) for part in parts))


def alike(text: str, exact: bool = False) -> Iterator[str]:
    """The lines without what may differ.

    >>> list(alike("3  0.12\\n4  1e-05\\n\\n────\\nup to 7 min"))
    ['0 0', 'up to 0 s']
    """
    last = ""
    for line in text.splitlines():
        for found, put in LAYOUT if exact else (*NUMBERS, *LAYOUT):
            line = found.sub(put, line)
        if (line := line.strip()) and (exact or line != last):
            yield line
        last = line or last
