"""A stored study for tests, without any model."""

from collections.abc import Sequence

from sqlalchemy import Engine

from optselect.storage.records import studies
from optselect.storage.records.studies import NewStudy, StoredStudy
from optselect.storage.records.tickets import NewTicket


def store_study(
    engine: Engine, trials: int = 3, name: str = "study", optimizers: Sequence[str] = ("Adam",)
) -> StoredStudy:
    """A study of one baseline ticket, which comes first, and `trials` rounds of search tickets of the optimizers."""
    tickets = [NewTicket("baseline", "baseline", 0, {"optimizer": "baseline"})]
    tickets += [
        NewTicket("quota", optimizer, number, {"optimizer": optimizer})
        for number in range(trials)
        for optimizer in optimizers
    ]
    new = new_study(name)
    with studies.creating(engine) as connection:
        return studies.insert_study(connection, new, tickets)


def new_study(name: str) -> NewStudy:
    """All that a study has besides its tickets."""
    return NewStudy(
        name=name,
        spec={"optimizers": ["Adam"], "problem": "diabetes", "epochs": 3},
        spec_version=1,
        problem={"path": "diabetes.py"},
        bundle={"diabetes.py": "pass\n"},
        bundle_sha256="0" * 64,
        data_hash="1" * 64,
        versions={},
        objective="val_loss",
        direction="minimize",
        tracking_uri=None,
    )
