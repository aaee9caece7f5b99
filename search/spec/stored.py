"""What does a stored study say of itself?"""

from optselect.storage.records.studies import StoredStudy
from optselect.trials.terms.description import ProblemDescription


def stored_description(study: StoredStudy) -> ProblemDescription:
    """The description that was stored with a study."""
    return ProblemDescription.from_json(study.problem)
