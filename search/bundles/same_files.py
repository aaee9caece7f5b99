"""Does model() still read what it read when the study was launched? Asked without TensorFlow where files are known,
and of a child that makes the weights anew where some are pre-trained: no list of files is ever complete.
"""

from collections.abc import Sequence
from pathlib import Path

from optselect.search.errors import InvalidInput
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.storage.records.studies import StoredStudy
from optselect.trials.problem.user_files import changed_file
from optselect.trials.terms.description import ProblemDescription

MEND = "launch under another --name, or give resume or worker --use-local."


def reading_folders(study: StoredStudy, problem: Path) -> tuple[Path, Path]:
    """Where names of files are looked for: beside the problem, and in the folder of the launch where it is here."""
    launched = Path(stored_spec(study).folder)
    return problem.parent, launched if launched.is_dir() else Path.cwd()


def demand_same_files(study: StoredStudy, problem: Path, folders: Sequence[Path] | None = None) -> None:
    """Refuse files that are not those of the launch; raises InvalidInput.

    Args:
        folders: where they are looked for; default: reading_folders.
    """
    places = reading_folders(study, problem) if folders is None else folders
    changed = changed_file(stored_description(study).files, places)
    if changed:
        raise InvalidInput(f'Study "{study.name}": {changed}. Bring that file here, {MEND}')


def has_pretrained(study: StoredStudy) -> bool:
    """Whether some weights are the same for every seed, and so may come from a file that nobody has seen."""
    weights = stored_description(study).weights
    return weights is not None and bool(weights.kept)


def demand_same_weights(study: StoredStudy, here: ProblemDescription) -> None:
    """Refuse a model that begins otherwise than at the launch, but for rounding; raises InvalidInput."""
    stored = stored_description(study).weights
    if stored is None or here.weights is None:
        return
    differing = stored.differing(here.weights)
    if differing:
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise InvalidInput(
            f'Study "{study.name}": model() must begin with the weights that it was launched with. Received: others '
            f"in {differing[0]}{more}. Restore the file that model() reads (files = [...] in the problem file lets it "
            f"be named), {MEND}"
        )
