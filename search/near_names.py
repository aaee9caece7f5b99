"""Which known name may have been meant?"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question at the end of a refusal, with the nearest name, whatever its case; empty where none is near.

    >>> did_you_mean("sdg", ["Adam", "SGD"])
    ' Did you mean "SGD"?'
    >>> did_you_mean("wine", ["Adam", "SGD"])
    ''
    """
    by_lower_case = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f' Did you mean "{by_lower_case[near[0]]}"?' if near else ""
