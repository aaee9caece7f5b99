"""Is the data of this machine the study's?"""

from optselect.search.errors import InvalidInput
from optselect.search.spec.stored import stored_description
from optselect.storage.records.studies import StoredStudy
from optselect.trials.data.fingerprint import FIRST_BATCH, hash_data
from optselect.trials.describing.describe import describe_inputs
from optselect.trials.problem.loading import Problem


def demand_same_data(problem: Problem, study: StoredStudy) -> None:
    """Refuse to train on other data than the study's; raises InvalidInput.

    Of data that comes in batches the kind is compared only: a shuffled Dataset begins with another batch each time.
    """
    stored, found = stored_description(study), describe_inputs(problem.data)
    if dict(stored.inputs) != found:
        received = "; ".join(f"{name}: {kind}" for name, kind in found.items())
        known = "; ".join(f"{name}: {kind}" for name, kind in stored.inputs.items())
    elif study.data_hash.startswith(FIRST_BATCH) or (here := hash_data(problem.data)) == study.data_hash:
        return
    else:
        received, known = f"sha256 {here[:12]}", f"sha256 {study.data_hash[:12]}"
    raise InvalidInput(
        f'data() must give the data that study "{study.name}" was launched with ({known}). Received: {received}. '
        "Bring the same files to this machine and seed what is random in data(), launch under another --name, or "
        "give --use-local."
    )
