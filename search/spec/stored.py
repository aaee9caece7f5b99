"""What does a stored study say of itself?"""

from pydantic import ValidationError

from optselect.search.spec.study_spec import SPEC_VERSION, StudySpec
from optselect.storage.errors import InvalidRow
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.description import ProblemDescription


def stored_spec(study: StoredStudy) -> StudySpec:
    """The spec that was stored with a study; raises InvalidRow where this version does not know it."""
    try:
        return StudySpec.model_validate(study.spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidRow(
            f"The spec of study {study.name} must be one that this version knows (version {SPEC_VERSION}). Received: version "
            f"{study.spec_version}, {where}: {first['msg']}. A later optselect may have launched it: update this one."
        ) from error


def unchecked_spec(study: StoredStudy) -> StudySpec:
    """The same for a mere look, which costs nothing: a later version's, too, but its ranges, switches and classes stay JSON."""
    return StudySpec.model_construct(**study.spec)


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)
