"""How does a whole study go on a table? The real plan, samplers, pruner and verdict; only trainings are looked up.

Tickets are answered in the order in which they were made, one after the other, as one worker would.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import optuna
from optuna.trial import Trial, TrialState

from benchmarks.nulls import finals
from benchmarks.verdict.world import OWN, Place, Run, World
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.spec.declarations import Sampler
from optselect.search.spec.objective import Objective
from optselect.search.spec.space import Settings, suggest_optimizer
from optselect.search.spec.study_spec import StudySpec
from optselect.search.strategy.asking import ask_for, explosion, tell_ending, tell_pruned
from optselect.search.strategy.choosing import first_step, next_step, strategy_of
from optselect.search.strategy.phases import ByPhases
from optselect.search.strategy.planning import placed
from optselect.search.strategy.protocol import Strategy
from optselect.search.strategy.results import ARGUMENTS, CLASS, UNTRAINED
from optselect.search.strategy.rungs import promoted
from optselect.search.verdict.evidence import (
    Scale,
    candidates,
    competes,
    contenders,
    current_finals,
    scale_of,
)
from optselect.search.verdict.judging import MOST_SEEDS, Judgement, judge
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.phases import Progress
from optselect.storage.records.tickets import SEARCH_PHASES, NewTicket, Ticket, TrialEnding
from optselect.trials.terms.configuration import BASELINE

OBJECTIVE = Objective("val_loss", "minimize")


@dataclass(frozen=True)
class Verdict:
    """What a strategy came to."""

    outcome: str
    leader: str
    named: tuple[str, ...]
    """The winner, or the tie's members."""
    found: Mapping[str, Place]
    """The best configuration of each optimizer, as the strategy sees it."""
    cost: int
    """Epochs trained in all."""
    claims: Sequence[tuple[float, float, float]] = ()
    """Each claimed interval and the truth that it should hold: low, high, truth."""


def spec_of(world: World, each: int, seed: int, sampler: Sampler = "tpe") -> StudySpec:
    """A study of so many trials for each optimizer, with all else at its defaults."""
    space = {name: branch.dimensions for name, branch in world.table.branches.items()}
    return StudySpec(
        problem=world.table.name,
        folder="/",
        optimizers=tuple(space),
        tune="1",
        sampler=sampler,
        trials=each * len(space),
        epochs=world.table.epochs,
        seed=seed,
        objective=OBJECTIVE.name,
        direction="minimize",
        space=space,
    )


@dataclass
class Replay:
    """A study in memory; its rows are what the database would hold."""

    world: World
    spec: StudySpec
    known: KnownTasks | None = None
    """What teaches the learned sampler: of other tasks than this one."""
    rows: list[TrialRow] = field(default_factory=list)
    decisions: list[Mapping[str, object]] = field(default_factory=list)
    cost: int = 0
    places: dict[int, Place] = field(default_factory=dict)
    """Where each row's configuration was found."""
    _rungs: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    """Values of an optimizer's search trials at an epoch."""

    @cached_property
    def strategy(self) -> Strategy:
        return strategy_of(self.spec) if self.known is None else ByPhases(self.spec, known=self.known)

    def run(self) -> "Replay":
        """Go on until nothing is left to plan."""
        self.optuna_study = optuna.create_study()
        self.train(first_step(self.spec).tickets)
        while True:
            step = next_step(self.spec, Progress(self.spec.trials, self.decisions, self.rows))
            self.decisions += [] if step.decision is None else [step.decision]
            self.train(step.tickets)
            if not step.tickets and not step.and_then:
                return self

    def train(self, tickets: Sequence[NewTicket]) -> None:
        for ticket in tickets:
            searched = ticket.phase in SEARCH_PHASES
            self.rows.append(self.searched(ticket) if searched else self.evaluated(ticket))

    # --- one ticket ---

    def evaluated(self, ticket: NewTicket) -> TrialRow:
        """TPE never sees an evaluation: Optuna need not be asked. The model hears of all but the finals."""
        settings = Settings(ticket.optimizer, ticket.arguments or {})
        run = self.look_up(ticket, settings)
        row = self.row(ticket, settings, run, cut=0)
        if self.spec.sampler == "learned" and ticket.phase != "final":
            self.tell(self.noted(ticket, run), row, run)
        return row

    def noted(self, ticket: NewTicket, run: Run) -> Trial:
        """The Optuna trial of an evaluation, as a worker writes it."""
        self.optuna_study.sampler = optuna.samplers.RandomSampler(seed=0)
        trial = ask_for(self.optuna_study, claimed(ticket, len(self.rows)))
        trial.suggest_categorical("optimizer", (*self.spec.space, BASELINE))
        trial.set_user_attr(ARGUMENTS, dict(ticket.arguments or {}))
        trial.set_user_attr(UNTRAINED, run.untrained)
        if ticket.optimizer == BASELINE:
            trial.set_user_attr(CLASS, OWN)
        return trial

    def searched(self, new: NewTicket) -> TrialRow:
        """A sampler proposes a place and is told of the row that answers for it, at that row's own place."""
        ticket = claimed(new, len(self.rows))
        self.optuna_study.sampler = self.strategy.sampler(ticket)
        asked = ask_for(self.optuna_study, ticket)
        wanted = suggest_optimizer(asked, self.spec.space, total_steps=None)
        self.optuna_study.tell(asked, state=TrialState.FAIL)  # no sampler sees those
        trial, settings = self.at_row(new, self.world.place(wanted.optimizer, wanted.arguments))
        run = self.look_up(new, settings)
        cut = self.first_cut(ticket, settings.optimizer, run)
        row = self.row(new, settings, run, cut)
        self.tell(trial, row, run)
        return row

    def at_row(self, new: NewTicket, place: Place) -> tuple[Trial, Settings]:
        branch = self.world.table.branches[place.optimizer]
        params = placed(place.optimizer, branch.dimensions, branch.points[place.row].tolist())
        fixed = {"optimizer": place.optimizer, **params}
        self.optuna_study.sampler = optuna.samplers.RandomSampler(seed=0)
        trial = ask_for(self.optuna_study, claimed(replace(new, fixed_params=fixed), len(self.rows)))
        settings = suggest_optimizer(trial, self.spec.space, total_steps=None)
        trial.set_user_attr(ARGUMENTS, dict(settings.arguments))
        return trial, settings

    def look_up(self, ticket: NewTicket, settings: Settings) -> Run:
        place = self.world.place(settings.optimizer, settings.arguments)
        self.places[len(self.rows)] = place
        return self.world.run(place, self.spec.seed, ticket.seed)

    def first_cut(self, ticket: Ticket, optimizer: str, run: Run) -> int:
        """The rung at which the pruner ends a search trial; 0 where it never does."""
        for rung in self.strategy.rungs(ticket, self.spec.trials):
            if rung not in run.curve:
                return 0
            others = self._rungs.setdefault((optimizer, rung), [])
            goes_on = promoted(sum(other < run.curve[rung] for other in others), len(others))
            others.append(run.curve[rung])
            if not goes_on:
                return rung
        return 0

    def row(self, ticket: NewTicket, settings: Settings, run: Run, cut: int) -> TrialRow:
        whole = self.spec.epochs in run.curve
        state = "pruned" if cut else "complete" if whole else "diverged"
        value = run.curve[self.spec.epochs] if state == "complete" else None
        epochs = cut or run.ended
        self.cost += epochs
        number = len(self.rows)
        return TrialRow(
            ticket=number, ord=number, trial=number, phase=ticket.phase, optimizer=ticket.optimizer, state=state,
            value=value, epochs=epochs, params=settings.arguments, attempts=1, seed=ticket.seed, mlflow_run_id=None,
            message=None, seconds=1.0, role=ticket.role, started=float(number), finished=number + 1.0,
            result={f"initial_{OBJECTIVE.name}": run.untrained} | ({} if value is None else {"test_loss": run.test}),
        )  # fmt: skip

    def tell(self, trial: Trial, row: TrialRow, run: Run) -> None:
        ending = TrialEnding(row.state, row.epochs, row.value)
        if row.state == "pruned":
            tell_pruned(trial, ending, run.curve[row.epochs])
            return
        untrained = {OBJECTIVE.name: run.untrained}
        exploded = explosion(OBJECTIVE, untrained, row.epochs, self.spec.epochs)
        tell_ending(trial, ending, exploded if row.state == "diverged" else None)

    # --- the end ---

    def verdict(self) -> Verdict:
        scale = scale_of(OBJECTIVE, self.rows)
        finals = current_finals(self.rows)
        rivals = [c for name, c in contenders(finals, scale).items() if competes(name)]
        judgement = judge(rivals)
        finalists = {row.optimizer: self.places[row.ord] for row in finals if row.role in ("tuned", "own")}
        found = {**self.found(scale), **finalists}
        return Verdict(
            judgement.outcome,
            judgement.leader,
            named_by(judgement),
            found,
            self.cost,
            list(self.claims(judgement, finalists)),
        )

    def found(self, scale: Scale) -> dict[str, Place]:
        best = {name: candidates(self.rows, name, scale) for name in self.spec.optimizers}
        return {name: self.places[trials[0].ord] for name, trials in best.items() if trials}

    def claims(
        self, judgement: Judgement, finalists: Mapping[str, Place]
    ) -> Sequence[tuple[float, float, float]]:
        """The leader's interval and those of the differences to it, each with its truth."""
        leader = judgement.costs[judgement.leader]
        truth = self.world.test(finalists[judgement.leader])
        claims = [(leader.low, leader.high, truth)]
        for name, found in judgement.comparisons.items():
            difference = self.world.test(finalists[name]) - truth
            claims.append((found.difference.low, found.difference.high, difference))
        return claims


def named_by(judgement: Judgement) -> tuple[str, ...]:
    """The winner, or the tie's members; nobody where more is needed."""
    return (judgement.leader,) if judgement.outcome == "winner" else judgement.tie


def claimed(new: NewTicket, ord: int) -> Ticket:
    return Ticket(
        id=ord, ord=ord, token=uuid.UUID(int=ord), attempt=1, max_attempts=3, phase=new.phase,
        optimizer=new.optimizer, seed=new.seed, fixed_params=new.fixed_params, role=new.role,
        arguments=new.arguments, trial_id=None, trial_number=None, cause=None,
    )  # fmt: skip


# --- what others do with as many epochs -----------------------------------------------------------------


def best_of_random(world: World, spec: StudySpec, epochs: int) -> Verdict:
    """Any optimizer, anywhere in its range."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=spec.seed))
    return best_trial(world, spec, epochs, [study])


def best_of_joint_tpe(world: World, spec: StudySpec, epochs: int) -> Verdict:
    """Optuna's default sampler, which chooses the optimizer too."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=spec.seed))
    return best_trial(world, spec, epochs, [study])


def best_of_tpe_each(world: World, spec: StudySpec, epochs: int) -> Verdict:
    """One study with Optuna's default sampler for each optimizer, in turn."""
    studies = [
        optuna.create_study(sampler=optuna.samplers.TPESampler(seed=spec.seed + place))
        for place in range(len(spec.optimizers))
    ]
    return best_trial(world, spec, epochs, studies)


def best_trial(world: World, spec: StudySpec, epochs: int, studies: Sequence[optuna.Study]) -> Verdict:
    """Spend the epochs on whole trainings; the optimizer of the best single one is called the winner."""
    best: dict[str, tuple[float, Place]] = {}
    cost = turn = 0
    while cost < epochs:
        study = studies[turn % len(studies)]
        if len(studies) > 1:
            study.enqueue_trial({"optimizer": spec.optimizers[turn % len(studies)]})
        trial = study.ask()
        settings = suggest_optimizer(trial, spec.space, total_steps=None, jointly=True)
        place = world.place(settings.optimizer, settings.arguments)
        run = world.run(place, spec.seed, turn)
        cost, turn = cost + run.ended, turn + 1
        value = run.curve.get(spec.epochs)
        if value is None:  # as a script does whose loss is NaN
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, value)
        if settings.optimizer not in best or value < best[settings.optimizer][0]:
            best[settings.optimizer] = (value, place)
    leader = min(best, key=lambda name: best[name][0])
    found = {name: place for name, (_, place) in best.items()}
    return Verdict("winner", leader, (leader,), found, cost)


def of_known_best(world: World, best: Mapping[str, Place], seed: int) -> Verdict:
    """Our finals on the very best configurations, as if the search had found them: what seeds alone can tell."""
    drawn = np.random.default_rng(seed).integers(len(world.table.untrained), size=MOST_SEEDS)
    chosen = np.array([world.validations_of(place)[drawn] for place in best.values()])
    judged = np.array([world.tests_of(place)[drawn] for place in best.values()])
    judgement, _ = finals(chosen, judged)
    names = list(best)
    named = tuple(names[int(number)] for number in named_by(judgement))
    return Verdict(judgement.outcome, names[int(judgement.leader)], named, best, cost=0)


def ours(world: World, spec: StudySpec, known: KnownTasks | None = None) -> Verdict:
    return Replay(world, spec, known).run().verdict()
