"""What may be imported before the user's file is? The installation, and nothing of the folder where one types.

`python -m` puts that folder first on sys.path, and so does an entry of PYTHONPATH that is empty or a dot, for every
process that inherits it: an optuna.py there would be taken for Optuna. Imports what Python itself has loaded already.
"""

import os
import sys

ASKED_FOR = "OPTSELECT_PYTHONPATH"
"""What PYTHONPATH held: trials/terms/installed_first.py adds it behind all else once the user's file comes."""


def leave_out_working_folder() -> None:
    """Take the folder off sys.path, and off the PYTHONPATH of the processes that this one starts."""
    here = os.getcwd()
    if here == os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
        return  # a checkout that is not installed: the installation itself
    sys.path[:] = [entry for entry in sys.path if not is_same(entry, here)]
    # A folder of that name, as a clone of the repository is, was taken for the package.
    if not hasattr(sys.modules["optselect"], "__version__"):
        for name in [name for name in sys.modules if name.partition(".")[0] == "optselect"]:
            del sys.modules[name]
    asked = os.environ.get("PYTHONPATH", "")
    left = os.pathsep.join(entry for entry in asked.split(os.pathsep) if not is_same(entry, here))
    if left != asked:
        os.environ["PYTHONPATH"], os.environ[ASKED_FOR] = left, asked


def is_same(entry: str, here: str) -> bool:
    """Whether an entry of a path means this folder, as an empty one does.

    >>> is_same("", "/home"), is_same("/home/", "/home"), is_same("/home/src", "/home")
    (True, True, False)
    """
    return os.path.realpath(entry or here) == os.path.realpath(here)
