"""What does a stored study say of itself?"""

from optselect.search.spec.study_spec import StudySpec
from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.description import ProblemDescription


def stored_spec(study: StoredStudy) -> StudySpec:
    """The spec that was stored with a study; raises pydantic's ValidationError where only a later version knows it."""
    return StudySpec.model_validate(study.spec)


def unchecked_spec(study: StoredStudy) -> StudySpec:
    """The same for a mere look, which costs nothing: a later version's, too, but its ranges, switches and classes stay JSON."""
    return StudySpec.model_construct(**study.spec)


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)
