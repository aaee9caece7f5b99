"""How is a Python process of ours started? So that the folder in which one types is not importable."""

import sys


def own_python(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command that runs one of our modules: -P, or an optuna.py of that folder would be taken for Optuna.

    Not PYTHONSAFEPATH, which the user's own processes would inherit.
    """
    return [python, "-P", "-m", module, *arguments]
