"""Whose code does this machine run? That of every study in the database, or of sources whose hash its owner has listed.

Whoever may write the database may put a study there, and a worker runs its source. The hash is made anew from the
source that came: the one that stands beside it was written by the same hand.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from optselect.search.bundles.source import bundle_hash, listed_code
from optselect.search.errors import InvalidInput
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.listed_code import ListedCode

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Trust:
    """The hashes of the sources that may run here; None: all."""

    hashes: frozenset[str] | None = None

    @classmethod
    def read(cls, listed: str | None, file: Path | None) -> "Trust":
        """What --only-bundles and --trust say; raises InvalidInput."""
        if listed is None and file is None:
            return cls()
        words = [(word, "--only-bundles") for word in (listed or "").split(",")] if listed is not None else []
        words += [(word, f"--trust {file}") for word in words_in(file)] if file is not None else []
        return cls(frozenset(checked(word.strip().lower(), place) for word, place in words))

    def arguments(self) -> tuple[str, ...]:
        """The same for another command line; hashes are no secret."""
        return () if self.hashes is None else ("--only-bundles", ",".join(sorted(self.hashes) or [NONE]))

    def demand(self, study: StoredStudy) -> None:
        """Refuse a study whose code nobody here has listed; raises InvalidInput."""
        if self.hashes is None:
            return
        came = bundle_hash(study.bundle)
        if came not in self.hashes or came != study.bundle_sha256:
            raise InvalidInput(
                "The source of a study must be listed by --only-bundles or --trust to run here. "
                f'Received: study "{study.name}" with the source {came}. Read it, then list this hash.'
            )

    def code_of(self, study: StoredStudy, home: Path) -> ListedCode | None:
        """The only code of a listed study that may run here besides what is installed; None: whatever is here.

        What is listed is a hash: which files a row names decides nothing, what is loaded is held against this.
        """
        self.demand(study)
        return None if self.hashes is None else listed_code(study, home)


ALL_TRUSTED = Trust()
NONE = "0" * 64
"""Lists nothing: no source has this hash."""


def words_in(file: Path) -> list[str]:
    """The first word of each line; what follows, and lines that begin with #, are for people."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidInput(f"--trust must name a file with hashes. Received: {file} ({reason}).") from error
    return [line.split()[0] for line in lines if line.strip() and not line.lstrip().startswith("#")]


def checked(word: str, place: str) -> str:
    if not SHA256.fullmatch(word):
        raise InvalidInput(
            f"{place} must hold hashes of 64 hexadecimal digits, as `optselect show STUDY --json` prints them "
            f'(bundle_sha256). Received: "{word}".'
        )
    return word
