"""Which class of the user's own does a text name? `my_optimizers.py:MyMomentum` or `package.module:Class`.

Imports no Keras, so that a typing error is answered at once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optselect.trials.terms.configuration import ArgumentValue
from optselect.trials.terms.errors import ConfigurationError

BUNDLE_FOLDER = "optselect-optimizers"
"""Within a study's bundle: files from elsewhere than below the problem's folder, by the class that needs them.

No name of a package can have a hyphen: nothing of the user's is called so."""
MOST_NAME_BYTES = 200
"""Of a class's name: it is that of a folder in a bundle, where a file name may have 255."""
EXAMPLES = "my_optimizers.py:MyMomentum or package.module:MyMomentum"


@dataclass(frozen=True)
class Reference:
    """Where a class stands."""

    place: str  # an absolute path of a Python file, or a module's name
    class_name: str

    def __str__(self) -> str:
        return f"{self.place}:{self.class_name}"

    @property
    def is_file(self) -> bool:
        """Whether the place is a file, not a module's name."""
        return self.place.endswith(".py")

    @property
    def path(self) -> Path:
        """The file, of a reference to one."""
        return Path(self.place)

    @property
    def module(self) -> str:
        """The name that an import statement would have."""
        return self.path.stem if self.is_file else self.place


def is_reference(name: str) -> bool:
    """Tell a class of the user's own from the name of one of Keras's.

    >>> is_reference("adam"), is_reference("my_optimizers.py:MyMomentum")
    (False, True)
    """
    return ":" in name


def read_reference(text: str, folder: Path) -> Reference:
    """Take a text apart; a path is relative to `folder`. Raises ConfigurationError.

    >>> str(read_reference("package.module:Mine", Path("/work")))
    'package.module:Mine'
    """
    place, _, class_name = (part.strip() for part in text.rpartition(":"))
    if len(class_name.encode()) > MOST_NAME_BYTES:
        raise ConfigurationError(
            f"The name of an optimizer of your own must have at most {MOST_NAME_BYTES} bytes, for it names a folder. "
            f'Received: {len(class_name.encode())} bytes, "{class_name[:40]}...".'
        )
    if not class_name.isidentifier():
        raise ConfigurationError(f'An optimizer of your own is written {EXAMPLES}. Received: "{text}".')
    if not place.endswith(".py"):
        if not all(part.isidentifier() for part in place.split(".")):
            raise ConfigurationError(f'An optimizer of your own is written {EXAMPLES}. Received: "{text}".')
        return Reference(place, class_name)
    path = (folder / Path(place).expanduser()).resolve()
    if not path.is_file():
        raise ConfigurationError(
            f'There is no file "{place}" for the optimizer {class_name} (looked in {folder}).'
        )
    return Reference(str(path), class_name)


def stored_reference(text: str) -> Reference:
    """Read back what str(reference) gave; the file need not be there any more."""
    place, _, class_name = text.rpartition(":")
    return Reference(place, class_name)


@dataclass(frozen=True)
class AskedClass:
    """A class of the user's own that a study is to try."""

    reference: Reference
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)  # some that the study may give it


def write_classes(asked: Sequence[AskedClass]) -> str:
    """Write them for a child process."""
    return json.dumps([[str(one.reference), dict(one.arguments)] for one in asked])


def tried_file(answer: Path) -> Path:
    """Where a child that tries classes writes how many it has tried, beside its answer."""
    return answer.with_suffix(".tried")


def read_classes(text: str) -> list[AskedClass]:
    """Read what write_classes wrote."""
    return [AskedClass(stored_reference(reference), arguments) for reference, arguments in json.loads(text)]
