"""How is one good configuration found, whichever optimizer it is of? One sampler chooses everything jointly (--goal best-config)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optselect.search.knowledge.kin import kin_of
from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.planning import ANY, baseline_tickets, in_slices
from optselect.search.strategy.rungs import rungs_of
from optselect.search.strategy.seeds import sampler_seed, search_seed
from optselect.storage.records.phases import Begun, Progress, Step
from optselect.storage.records.tickets import NewTicket, Ticket

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from optselect.search.knowledge.known_tasks import KnownTasks


@dataclass(frozen=True)
class Joint:
    """The whole budget goes to one search; nothing is compared."""

    spec: StudySpec
    known: "KnownTasks | None" = None
    """The tasks that teach the learned sampler: those of the package unless others are given."""
    samples_optimizer = True
    rest = ANY

    def baselines(self) -> list[NewTicket]:
        return baseline_tickets(self.spec)

    def search(self, trials: int) -> Step:
        return in_slices(trials, (), lambda count: joint_tickets(self.spec, 0, count))

    def next_step(self, progress: Progress) -> Step:
        searched = sum(trial.searched for trial in progress.trials)
        missing = progress.budget - searched
        return in_slices(missing, progress.decisions, lambda count: joint_tickets(self.spec, searched, count))

    def next_slice(self, begun: Begun, count: int) -> list[NewTicket]:
        return joint_tickets(self.spec, sum(begun.searched.values()), count)

    def further_seeds(self, progress: Progress, more: int) -> Sequence[NewTicket]:
        return ()

    def sampler(self, ticket: Ticket) -> "BaseSampler":
        # Optuna costs half a second, which a look at the study need not pay.
        from optuna.samplers import RandomSampler

        from optselect.search.strategy.model_sampler import ModelSampler
        from optselect.search.strategy.sampler import ViewedTPE, all_search_trials

        spec, seed = self.spec, sampler_seed(self.spec.seed, ticket.ord)
        if ticket.phase != "joint":
            return RandomSampler(seed)  # fixed parameters win anyway
        if spec.sampler == "learned":
            return ModelSampler(seed, spec.space, kin_of(spec), jointly=True, known=self.known)
        return ViewedTPE(all_search_trials, seed)

    def rungs(self, ticket: Ticket, budget: int) -> Sequence[int]:
        return rungs_of(self.spec, ticket, budget)

    def share(self, trials: int) -> int:
        return 0

    def evaluation_runs(self, budget: int) -> int:
        return 0

    def most_evaluation_runs(self, budget: int) -> int:
        return 0


def joint_tickets(spec: StudySpec, already: int, trials: int) -> list[NewTicket]:
    """Tickets that leave even the optimizer to the sampler."""
    return [NewTicket("joint", ANY, search_seed(spec.seed, already + turn), {}) for turn in range(trials)]
