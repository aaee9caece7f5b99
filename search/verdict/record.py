"""What is stored of a study that a verdict is drawn from?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from optselect.search.spec.objective import Objective
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.search.spec.study_spec import StudySpec
from optselect.search.verdict.evidence import Scale, scale_of
from optselect.storage.records import overview
from optselect.storage.records.deaths import set_aside
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.database import Engine
from optselect.trials.terms.description import ProblemDescription


@dataclass(frozen=True)
class Record:
    """All that is stored of a study and that a report needs."""

    name: str
    spec: StudySpec
    problem: ProblemDescription
    budget: int
    finished: bool
    decisions: Sequence[Mapping[str, object]]
    trials: Sequence[TrialRow]

    @property
    def objective(self) -> Objective:
        return Objective.of(self.spec)

    @cached_property
    def scale(self) -> Scale:
        return scale_of(self.objective, self.trials)

    @cached_property
    def set_aside(self) -> dict[str, str]:
        """Who was given up because its trials ended their processes, and why."""
        return set_aside(self.decisions)

    @property
    def compared(self) -> StudySpec:
        """The study of those that were not set aside: what its phases were planned for."""
        left = self.spec.without(self.set_aside)
        return left if left.optimizers else self.spec

    def searched(self, optimizer: str) -> list[TrialRow]:
        return [trial for trial in self.trials if trial.searched and trial.optimizer == optimizer]


def read_record(engine: Engine, study: StoredStudy) -> Record:
    """Everything that is stored of a study and that a report needs."""
    return Record(
        name=study.name,
        spec=stored_spec(study),
        problem=stored_description(study),
        budget=study.budget,
        finished=study.state == "finished",
        decisions=study.decisions,
        trials=overview.list_trials(engine, study.id),
    )
