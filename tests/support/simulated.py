"""A whole study without any training: tickets are planned by the real rules and answered by a formula."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optselect.search.spec.study_spec import Request, StudySpec, resolve
from optselect.search.strategy.choosing import first_step, next_step
from optselect.search.strategy.planning import placed
from optselect.storage.records.overview import TrialRow
from optselect.storage.records.phases import Progress, Step
from optselect.storage.records.tickets import NewTicket
from tests.support.problems import description

Answer = Callable[[NewTicket, random.Random], "float | None"]
"""The objective of a ticket; None: it diverged."""


def spec_of(**asked: Any) -> StudySpec:
    """TPE proposes unless something else is asked: its studies have a phase more."""
    return resolve(Request(problem="net.py", **{"sampler": "tpe", **asked}), description(), False, Path("/"))


@dataclass
class Simulated:
    """Goes on until nothing is left to plan."""

    spec: StudySpec
    answer: Answer
    budget: int = -1
    decisions: list[Any] = field(default_factory=list)
    rows: list[TrialRow] = field(default_factory=list)
    noise: random.Random = field(default_factory=lambda: random.Random(0))
    sampler: random.Random = field(default_factory=lambda: random.Random(0))
    clock: float = 0.0

    def run(self) -> "Simulated":
        if self.budget < 0:
            self.budget = self.spec.trials
            self.train(first_step(self.spec).tickets)
        for _ in range(100):
            step = next_step(self.spec, self.progress)
            if not self.take(step):
                return self
        raise AssertionError("it never ends")

    def take(self, step: Step) -> bool:
        self.decisions += [] if step.decision is None else [step.decision]
        self.budget = self.budget if step.budget is None else step.budget
        self.train(step.tickets)
        return bool(step.tickets) or step.and_then

    @property
    def progress(self) -> Progress:
        return Progress(self.budget, self.decisions, self.rows)

    def train(self, tickets: Any) -> None:
        numbers = itertools.count(len(self.rows))
        self.rows += [self.trained(next(numbers), ticket) for ticket in tickets]

    def trained(self, number: int, ticket: NewTicket) -> TrialRow:
        value = self.answer(ticket, self.noise)
        self.clock += 2.0
        sampled = {**ticket.fixed_params, **self.sampled(ticket)}
        fixed = {n.partition(".")[2]: v for n, v in sampled.items() if n != "optimizer"}
        row = TrialRow(
            ticket=number, ord=number, trial=number, phase=ticket.phase, optimizer=ticket.optimizer,
            state="diverged" if value is None else "complete", value=value, epochs=10,
            params={**(ticket.arguments or {}), **fixed} | ({"number": number} if ticket.role == "search" else {}),
            attempts=1, seed=ticket.seed, mlflow_run_id=None, message=None, seconds=2.0, role=ticket.role,
            result={"initial_val_loss": 5.0}, started=self.clock - 2.0, finished=self.clock,
        )  # fmt: skip
        return row if value is None else replace(row, result={**row.result, "test_loss": value + 0.1})

    def sampled(self, ticket: NewTicket) -> dict[str, Any]:
        """What a sampler would have added; at random."""
        if ticket.phase != "survivors":
            return {}
        dimensions = [d for d in self.spec.space[ticket.optimizer] if d.scale != "fixed"]
        return placed(ticket.optimizer, dimensions, [self.sampler.random() for _ in dimensions])

    def of(self, phase: str) -> list[TrialRow]:
        return [row for row in self.rows if row.phase == phase]
