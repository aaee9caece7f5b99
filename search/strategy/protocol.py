"""What does a strategy decide? How a study goes on its way to what it was asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from optselect.search.spec.study_spec import StudySpec
from optselect.storage.records.phases import Begun, Progress, Step
from optselect.storage.records.tickets import NewTicket, Ticket

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Strategy(Protocol):
    """How one goal is reached; strategy_of (choosing.py) gives that of a study.

    Its answers follow from the spec and from what is stored, so that whoever asks decides the same. Where it plans, its
    spec lacks the optimizers that were set aside.
    """

    @property
    def spec(self) -> StudySpec:
        """The study's."""

    # --- tickets ---

    def baselines(self) -> Sequence[NewTicket]:
        """What runs once before any search."""

    def search(self, trials: int) -> Step:
        """What so many search trials begin with."""

    def next_step(self, progress: Progress) -> Step:
        """What comes next where no ticket is left; an empty step ends the study."""

    def next_slice(self, begun: Begun, count: int) -> Sequence[NewTicket]:
        """The next tickets of a search that is made in slices: the same as if all were made at once."""

    def further_seeds(self, progress: Progress, more: int) -> Sequence[NewTicket]:
        """So many more seeds for whom a finished study compares."""

    # --- trials ---

    @property
    def samples_optimizer(self) -> bool:
        """Whether the sampler chooses the optimizer, too."""

    def sampler(self, ticket: Ticket) -> "BaseSampler":
        """What may propose settings for a ticket."""

    def rungs(self, ticket: Ticket, budget: int) -> Sequence[int]:
        """The epochs at which a ticket's trial may be cut."""

    # --- what is to come ---

    def share(self, trials: int) -> int:
        """How many of so many search trials each optimizer is sure of."""

    @property
    def rest(self) -> str:
        """For whom the other search trials are, as a forecast calls them."""

    def evaluation_runs(self, budget: int) -> int:
        """About how many runs come after the search: those of the first look, where none is dropped."""

    def most_evaluation_runs(self, budget: int) -> int:
        """As many where every comparison stays open to the last look."""
