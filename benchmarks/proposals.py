"""What does it cost to be told what to try next? python -m benchmarks.proposals: CPU milliseconds of one proposal, side by side.

Trials are in memory, as in a worker that has read them: the model's sampler, and TPE within each optimizer.
"""

import random
import time
import uuid
from collections.abc import Callable
from typing import Annotated

import optuna
import typer
from optuna.samplers import BaseSampler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.space import study_space, suggest_optimizer
from optselect.search.strategy.asking import ask_for, tell_ending
from optselect.search.strategy.model_sampler import ModelSampler
from optselect.search.strategy.results import ARGUMENTS
from optselect.search.strategy.sampler import ViewedTPE, search_trials_of
from optselect.storage.records.tickets import Ticket, TrialEnding

SPACE = study_space(DEFAULT_OPTIMIZERS, tune="1", trials_per_optimizer=16)
SAMPLERS: dict[str, Callable[[str, int], BaseSampler]] = {
    "learned": lambda optimizer, seed: ModelSampler(seed, SPACE),
    "tpe": lambda optimizer, seed: ViewedTPE(search_trials_of(optimizer), seed, startup=1),
}


def main(
    counts: Annotated[str, typer.Option(help="Trials that were told, by commas.")] = "16,100,200,400",
    repeats: Annotated[int, typer.Option(min=1, help="Proposals of each; the least counts.")] = 8,
) -> None:
    """Print what a proposal costs after so many trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for count in map(int, counts.split(",")):
        study = told(count)
        with threadpool_limits(1):  # as in a worker
            costs = {name: 1000 * least(study, make, repeats) for name, make in SAMPLERS.items()}
        print(f"{count:4d} trials: " + ", ".join(f"{name} {cost:.1f} ms" for name, cost in costs.items()))


def told(count: int) -> optuna.Study:
    """A study in memory with so many ended trials, spread over all optimizers."""
    study, draw = optuna.create_study(), random.Random(0)
    for number in range(count):
        optimizer = DEFAULT_OPTIMIZERS[number % len(DEFAULT_OPTIMIZERS)]
        trial = asked(study, optimizer, number, optuna.samplers.RandomSampler(seed=number))
        tell_ending(trial, TrialEnding("complete", 10, draw.lognormvariate(-1.0, 0.8)), None)
    return study


def asked(study: optuna.Study, optimizer: str, number: int, sampler: BaseSampler) -> optuna.Trial:
    study.sampler = sampler
    trial = ask_for(study, ticket(number, optimizer))
    settings = suggest_optimizer(trial, SPACE, total_steps=None)
    trial.set_user_attr(ARGUMENTS, dict(settings.arguments))
    return trial


def least(study: optuna.Study, make: Callable[[str, int], BaseSampler], repeats: int) -> float:
    return min(seconds(study, make, number) for number in range(repeats))


def seconds(study: optuna.Study, make: Callable[[str, int], BaseSampler], number: int) -> float:
    """CPU seconds from a ticket to its settings; the trial is taken back."""
    optimizer = DEFAULT_OPTIMIZERS[number % len(DEFAULT_OPTIMIZERS)]
    began = time.process_time()
    trial = asked(study, optimizer, number, make(optimizer, number))
    spent = time.process_time() - began
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return spent


def ticket(number: int, optimizer: str) -> Ticket:
    return Ticket(
        id=number, ord=number, token=uuid.UUID(int=number), attempt=1, max_attempts=3, phase="survivors",
        optimizer=optimizer, seed=0, fixed_params={"optimizer": optimizer}, role="search", arguments=None, trial_id=None,
        trial_number=None, cause=None,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
