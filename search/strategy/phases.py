"""How is each optimizer tuned and then compared? Phase by phase, each decided by a pure function of what is stored.

    baselines                           made with the study (planning.py)
    quota                               only where TPE proposes: evenly spread settings of each optimizer
    survivors                           the sampler's proposals, until all have had an equal share
    the switches                        the same, with what was best for their optimizers alone
    elimination                         each optimizer's best again on 3 seeds; clear losers are dropped
    survivors                           the rest of the budget, to each optimizer that is left
    elimination                         the three best of each that is left on the same seeds: which one is it?
    final                               the best of each on common fresh seeds, more of them where undecided

A study that gets more trials goes through survivors and finals again, on new seeds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optselect.search.knowledge.kin import kin_of
from optselect.search.spec.dimension import Choice
from optselect.search.spec.objective import Objective
from optselect.search.spec.study_spec import StudySpec
from optselect.search.spec.switching import copied
from optselect.search.strategy.planning import (
    baseline_tickets,
    evaluation,
    in_slices,
    quota_of,
    quota_tickets,
    share_of,
    survivor_tickets,
)
from optselect.search.strategy.rungs import rungs_of
from optselect.search.strategy.seeds import ELIMINATION_SEEDS, elimination_seed, final_seed, sampler_seed
from optselect.search.verdict.comparing import mean_interval, shown_share
from optselect.search.verdict.evidence import (
    DEFAULTS,
    Scale,
    best_configurations,
    candidates,
    competes,
    contenders,
    current_finals,
    dropped,
    final_name,
    key_of,
    one_run,
    runs_of_finalists,
    scale_of,
)
from optselect.search.verdict.judging import MOST_SEEDS, judge, next_look
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.phases import Begun, Progress, Step
from optselect.storage.records.tickets import NewTicket, Ticket
from optselect.trials.terms.configuration import BASELINE

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from optselect.search.knowledge.known_tasks import KnownTasks

THIN_FINALISTS = 3
"""So many meet in the finals of a study with fewer trials: enough for a first look."""
LOOKED_AT_AGAIN = 3
"""Configurations of each optimizer that meet once more before the finals, where one of them stands for it."""
ENOUGH_OF_ONE_RUN = 2
"""Seeds of the finals where the runs before them have shown that seeds change nothing: two prove it once more."""
CLEARLY_WORSE = 0.05
"""Share of the leader's cost by which a loser must be behind on the elimination's seeds."""


@dataclass(frozen=True)
class ByPhases:
    """Each optimizer is tuned before anything is compared; the finals decide (--goal verdict)."""

    spec: StudySpec
    known: "KnownTasks | None" = None
    """The tasks that teach the learned sampler: those of the package unless others are given."""
    samples_optimizer = False
    rest = "survivors"

    def baselines(self) -> list[NewTicket]:
        return baseline_tickets(self.spec)

    def search(self, trials: int) -> Step:
        """What each optimizer begins with; switches follow later, for they copy the best of their optimizers."""
        return Step(first_tickets(self.spec, self.spec.singles, trials)[:trials])

    def next_step(self, progress: Progress) -> Step:
        spec, missing = self.spec, progress.budget - sum(trial.searched for trial in progress.trials)
        compares = spec.has_finals and not spec.is_thin(progress.budget)
        if not decided(progress, "elimination"):
            if missing > 0 and (step := up_to_the_share(spec, progress, missing)).tickets:
                return step
            if compares:
                return eliminate(spec, progress.trials)
        if missing > 0:
            return more_search(spec, survivors(spec, progress.decisions), progress, missing)
        if compares and (again := list(second_look(spec, progress))):
            return Step(again)
        return Step(final_tickets(spec, progress)) if spec.has_finals else Step()

    def next_slice(self, begun: Begun, count: int) -> list[NewTicket]:
        left, given = survivors(self.spec, begun.decisions), copied_values(begun.decisions)
        return survivor_tickets(self.spec, left, begun.searched, count, given)

    def further_seeds(self, progress: Progress, more: int) -> list[NewTicket]:
        """For every tuned finalist and the user's own optimizer; none before the finals."""
        runs = current_finals(progress.trials)
        names = {final_name(run) for run in runs if run.role != DEFAULTS}
        seeds = len({run.seed for run in runs})
        return list(more_finals(self.spec, progress.trials, runs, dict.fromkeys(sorted(names), seeds + more)))

    def sampler(self, ticket: Ticket) -> "BaseSampler":
        # Optuna costs half a second, which a look at the study need not pay.
        from optuna.samplers import RandomSampler

        from optselect.search.strategy.model_sampler import ModelSampler
        from optselect.search.strategy.sampler import ViewedTPE, search_trials_of

        spec, seed = self.spec, sampler_seed(self.spec.seed, ticket.ord)
        if ticket.phase != "survivors":
            return RandomSampler(seed)  # fixed parameters win anyway
        if spec.sampler == "learned":
            return ModelSampler(seed, spec.space, kin_of(spec), known=self.known)
        return ViewedTPE(search_trials_of(ticket.optimizer), seed, startup=1)  # the quota was it

    def rungs(self, ticket: Ticket, budget: int) -> Sequence[int]:
        return rungs_of(self.spec, ticket, budget)

    def share(self, trials: int) -> int:
        return share_of(self.spec, trials)

    def evaluation_runs(self, budget: int) -> int:
        spec = self.spec
        if not spec.has_finals:
            return 0
        if spec.is_thin(budget):
            return spec.seeds * (1 + min(THIN_FINALISTS, len(spec.optimizers)))
        again = LOOKED_AT_AGAIN * ELIMINATION_SEEDS * len(spec.optimizers)
        return again + spec.seeds * (1 + len(spec.optimizers) + len(spec.with_defaults))

    def most_evaluation_runs(self, budget: int) -> int:
        """A study whose first look is its only one has no further ones."""
        first = self.evaluation_runs(budget)
        if not first or self.spec.is_thin(budget):
            return first
        further = max(0, MOST_SEEDS - self.spec.seeds)  # defaults are not asked again
        return first + further * (1 + len(self.spec.optimizers))


# --- the search ---------------------------------------------------------------------------------------


def first_tickets(
    spec: StudySpec,
    optimizers: Sequence[str],
    budget: int,
    given: Mapping[str, Mapping[str, Choice]] = MappingProxyType({}),
) -> list[NewTicket]:
    """Evenly spread ones where TPE proposes; the model needs none, so each gets its whole share."""
    if spec.sampler == "tpe":
        return quota_tickets(spec, optimizers, quota_of(spec, budget), given)
    return survivor_tickets(spec, optimizers, {}, share_of(spec, budget) * len(optimizers), given)


def up_to_the_share(spec: StudySpec, progress: Progress, missing: int) -> Step:
    """What is missing until each optimizer has had its equal share; empty where nothing is."""
    opened = not spec.switches or decided(progress, "switch")
    tuned = spec.optimizers if opened else spec.singles
    had = sum(trial.searched and trial.optimizer in tuned for trial in progress.trials)
    lacking = min(missing, share_of(spec, progress.budget) * len(tuned) - had)
    if lacking > 0:
        return Step(search_tickets(spec, tuned, progress, lacking))
    return Step() if opened else open_switches(spec, progress.trials, progress.budget, missing)


def more_search(spec: StudySpec, optimizers: Sequence[str], progress: Progress, trials: int) -> Step:
    """The rest of the budget, or the first slice of it."""
    return in_slices(
        trials, progress.decisions, lambda count: search_tickets(spec, optimizers, progress, count)
    )


def search_tickets(
    spec: StudySpec, optimizers: Sequence[str], progress: Progress, trials: int
) -> list[NewTicket]:
    """So many further search trials, for whoever has the fewest."""
    already = Counter(trial.optimizer for trial in progress.trials if trial.searched)
    return survivor_tickets(spec, optimizers, already, trials, copied_values(progress.decisions))


def decided(progress: Progress, phase: str) -> bool:
    """Whether what a phase decides was decided already."""
    return any(decision.get("phase") == phase for decision in progress.decisions)


def survivors(spec: StudySpec, decisions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who is left; all of them where none ever reached its last epoch, for the budget is searched in any case."""
    gone = dropped(decisions)
    return [name for name in spec.optimizers if name not in gone] or list(spec.optimizers)


# --- switches -----------------------------------------------------------------------------------------


def open_switches(spec: StudySpec, trials: Sequence[TrialRow], budget: int, missing: int) -> Step:
    """The quota of the switches, which copy what was best for their optimizers so far: Keras's defaults where none was."""
    scale = scale_of(Objective.of(spec), trials)
    best = {name: found[0].params for name in spec.singles if (found := candidates(trials, name, scale))}
    given = {
        switch.name: copied(switch, best.get(switch.first, {}), best.get(switch.second, {}))
        for switch in spec.switches
    }
    tickets = first_tickets(spec, tuple(given), budget, given)[:missing]
    return Step(tickets, decision={"phase": "switch", "copied": given})


def copied_values(decisions: Sequence[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Choice]]:
    """What each switch copies, as it was decided."""
    return next((made["copied"] for made in decisions if made.get("phase") == "switch"), {})


# --- elimination --------------------------------------------------------------------------------------


def eliminate(spec: StudySpec, trials: Sequence[TrialRow]) -> Step:
    """Runs of each optimizer's best on common seeds, and once they are there, who is dropped and why."""
    scale = scale_of(Objective.of(spec), trials)
    best = {name: candidates(trials, name, scale) for name in spec.optimizers}
    hopeless = {name: no_result(trials, name) for name, found in best.items() if not found}
    runs = [trial for trial in trials if trial.phase == "elimination"]
    tickets = [
        ticket
        for name, found in best.items()
        if found and len(spec.optimizers) > 2
        for ticket in elimination_tickets(spec, name, found[0], runs)
    ]
    if tickets:
        return Step(tickets)
    # One run counted three times shows no difference that a seed could not turn.
    losers = {} if one_run(by_configuration(runs)) else clear_losers(runs, scale)
    return Step(decision={"phase": "elimination", "dropped": {**hopeless, **losers}}, and_then=True)


def no_result(trials: Sequence[TrialRow], optimizer: str) -> str:
    ends = Counter(trial.state for trial in trials if trial.searched and trial.optimizer == optimizer)
    return "no trial reached its last epoch: " + ", ".join(
        f"{count} {state}" for state, count in ends.items()
    )


def elimination_tickets(
    spec: StudySpec, optimizer: str, best: TrialRow, runs: Sequence[TrialRow]
) -> Iterator[NewTicket]:
    """The best configuration on each seed; where it explodes on one, the next best once more."""
    tried = {key_of(run) for run in runs if run.optimizer == optimizer}
    if key_of(best) in tried or len(tried) > 1:
        return
    yield from on_elimination_seeds(spec, best)


def on_elimination_seeds(spec: StudySpec, best: TrialRow) -> Iterator[NewTicket]:
    """A configuration once more on each seed that all share."""
    for place in range(ELIMINATION_SEEDS):
        seed = elimination_seed(spec.seed, place)
        yield evaluation("elimination", best.optimizer, seed, "tuned", best.params)


def clear_losers(runs: Sequence[TrialRow], scale: Scale) -> dict[str, str]:
    """Who is clearly worse than the leader of the elimination, or explodes; two always stay."""
    costs: dict[str, dict[int, float]] = {}
    for run in sorted(runs, key=lambda run: run.ord):
        cost = scale.cost_of(run)
        if cost is not None:  # of a second configuration the later runs count
            costs.setdefault(run.optimizer, {})[run.seed] = cost
    unstable = {run.optimizer: run.state for run in runs if run.state == "diverged"}
    ranked = sorted(costs, key=lambda name: sum(costs[name].values()) / len(costs[name]))
    return {
        name: reason
        for name in ranked[2:]
        if (reason := why_dropped(costs[name], costs[ranked[0]], name in unstable, ranked[0]))
    }


def why_dropped(costs: Mapping[int, float], leading: Mapping[int, float], unstable: bool, leader: str) -> str:
    """The reason in a sentence; empty where it stays."""
    common = sorted(costs.keys() & leading)
    if len(common) < 2:
        return ""
    difference = mean_interval([costs[seed] - leading[seed] for seed in common])
    reference = abs(sum(leading.values()) / len(leading))
    if difference.mean <= CLEARLY_WORSE * reference or difference.low <= 0:
        return ""
    behind = shown_share(difference.mean / reference) if reference else f"{difference.mean:.3g}"
    exploded = ", and exploded on some" if unstable else ""
    return f"{behind} worse than {leader} on {len(common)} fresh seeds{exploded}"


# --- the second look ----------------------------------------------------------------------------------


def second_look(spec: StudySpec, progress: Progress) -> Iterator[NewTicket]:
    """The best few configurations of each that is left, on the elimination's seeds, where they were not run yet.

    The best single run is the luckiest one: of the best three, the one that is best on average goes to the finals.
    """
    if current_finals(progress.trials):
        return
    scale = scale_of(Objective.of(spec), progress.trials)
    for name in survivors(spec, progress.decisions):
        had = {key_of(run) for run in progress.trials if run.phase == "elimination" and run.optimizer == name}
        for best in best_configurations(progress.trials, name, scale)[:LOOKED_AT_AGAIN]:
            if key_of(best) not in had:
                yield from on_elimination_seeds(spec, best)


# --- finals -------------------------------------------------------------------------------------------


def final_tickets(spec: StudySpec, progress: Progress) -> list[NewTicket]:
    """The finals' first runs, or more seeds for whoever is not settled yet."""
    runs = current_finals(progress.trials)
    if not runs:
        return list(first_finals(spec, progress))
    scale = scale_of(Objective.of(spec), progress.trials)
    found = contenders(runs, scale)
    rivals = [contender for name, contender in found.items() if competes(name)]
    if spec.is_thin(progress.budget) or not rivals:
        return []
    if one_run(runs_of_finalists(runs, scale)):  # more seeds would be the same run once more
        return []
    wanted = next_look(judge(rivals), rivals)
    if wanted:  # every sentence compares with what the user has
        wanted[BASELINE] = max(wanted.values())
    return list(more_finals(spec, progress.trials, runs, wanted))


def first_finals(spec: StudySpec, progress: Progress) -> Iterator[NewTicket]:
    """Every finalist on the first seeds, seed by seed."""
    scale = scale_of(Objective.of(spec), progress.trials)
    best = [
        c[0]
        for name in survivors(spec, progress.decisions)
        if (c := candidates(progress.trials, name, scale))
    ]
    if spec.is_thin(progress.budget):
        best = sorted(best, key=lambda trial: scale.cost(trial.value or 0.0))[:THIN_FINALISTS]
    first = len({trial.seed for trial in progress.trials if trial.phase == "final"})
    again = [trial for trial in progress.trials if trial.phase == "elimination"]
    count = min(spec.seeds, ENOUGH_OF_ONE_RUN) if one_run(by_configuration(again)) else spec.seeds
    for seed in (final_seed(spec.seed, first + place) for place in range(count if best else 0)):
        yield evaluation("final", BASELINE, seed, "own", {})
        for trial in best:
            yield evaluation("final", trial.optimizer, seed, "tuned", trial.params)
            if not spec.is_thin(progress.budget) and trial.optimizer in spec.with_defaults:
                yield evaluation("final", trial.optimizer, seed, DEFAULTS, spec.default_arguments)


def by_configuration(runs: Sequence[TrialRow]) -> dict[str, list[TrialRow]]:
    """The runs of each configuration on its seeds."""
    grouped: dict[str, list[TrialRow]] = {}
    for run in runs:
        grouped.setdefault(" ".join(key_of(run)), []).append(run)
    return grouped


def more_finals(
    spec: StudySpec, trials: Sequence[TrialRow], runs: Sequence[TrialRow], wanted: Mapping[str, int]
) -> Iterator[NewTicket]:
    """Further seeds, the same for all, for the finalists that want them.

    Args:
        runs: of the present finals.
        wanted: how many seeds a finalist shall have had, by name.
    """
    seeds = sorted({run.seed for run in runs})
    past = len({trial.seed for trial in trials if trial.phase == "final"})
    seeds += [
        final_seed(spec.seed, past + place) for place in range(max(wanted.values(), default=0) - len(seeds))
    ]
    examples = {final_name(run): run for run in runs}
    for place, seed in enumerate(seeds):
        for name, count in wanted.items():
            run = examples.get(name)
            if run is not None and place < count and not had(runs, name, seed):
                arguments = {"tuned": run.params, DEFAULTS: spec.default_arguments}.get(run.role, {})
                yield evaluation("final", run.optimizer, seed, run.role, arguments)


def had(runs: Sequence[TrialRow], name: str, seed: int) -> bool:
    return any(final_name(run) == name and run.seed == seed for run in runs)
