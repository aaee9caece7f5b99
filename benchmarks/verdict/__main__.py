"""Replay strategies on the tables and print how often each is right: python -m benchmarks.verdict --help"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import optuna
import typer
from rich.console import Console
from rich.table import Table as Shown

from benchmarks.verdict.learn import learned
from benchmarks.verdict.replaying import (
    Verdict,
    best_of_joint_tpe,
    best_of_random,
    best_of_tpe_each,
    of_known_best,
    ours,
    spec_of,
)
from benchmarks.verdict.scoring import Score, Truth, score, truth_of
from benchmarks.verdict.search_alone import whole_tables
from benchmarks.verdict.table import load_table
from benchmarks.verdict.world import OWN, World
from optselect.search.knowledge.known_tasks import KnownTasks
from optselect.search.spec.catalogue import DEFAULT_OPTIMIZERS
from optselect.search.spec.space import choose_optimizers
from optselect.search.spec.study_spec import TRIALS_EACH, StudySpec

OTHERS: dict[str, Callable[[World, StudySpec, int], Verdict]] = {
    "random": best_of_random,
    "TPE each": best_of_tpe_each,
    "joint TPE": best_of_joint_tpe,
}


def main(
    problems: Annotated[str, typer.Option(help="Tables, separated by commas.")] = "diabetes,friedman,digits",
    each: Annotated[
        str, typer.Option(help="Search trials for each optimizer, several by commas.")
    ] = ",".join(map(str, TRIALS_EACH.values())),
    repeats: Annotated[int, typer.Option(min=1, help="Studies, each with a seed of its own.")] = 100,
    others: Annotated[str, typer.Option(help="Strategies beside ours.")] = ",".join(OTHERS),
    optimizers: Annotated[
        str, typer.Option(help="What a study tries, by commas, SGD among them; or all.")
    ] = ",".join(DEFAULT_OPTIMIZERS),
) -> None:
    """Print how often the verdict is right, for ours and for others that train as many epochs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    console = Console(width=190)
    for problem in problems.split(","):
        chosen = choose_optimizers(optimizers, OWN)
        world, taught_by = World(load_table(problem, chosen)), known_of_others(problem, chosen)
        truth = truth_of(world)
        console.print(said(truth, problem))
        shown = Shown(
            "trials each", "strategy", "right", "right if told", "wrong winner", "winner", "tie", "left > 2x behind",
            "leader's interval holds", "differences hold", "trainings",
        )  # fmt: skip
        known = [of_known_best(world, truth.best, seed) for seed in range(repeats)]
        shown.add_row(
            "", "our finals on the best there are", *cells(score(world, truth, known), world.table.epochs)
        )
        for count in filter(None, each.split(",")):
            names = [name for name in others.split(",") if name]
            for name, found in replayed(world, taught_by, truth, int(count), repeats, names):
                shown.add_row(count, name, *cells(found, world.table.epochs))
        console.print(shown)
    console.print(f"{repeats} repeats; shares with Wilson's 95 % interval.")


def known_of_others(problem: str, optimizers: Sequence[str]) -> KnownTasks:
    """What all other whole tables teach."""
    return learned([table for name, table in whole_tables(optimizers).items() if name != problem])


def replayed(
    world: World, known: KnownTasks, truth: Truth, each: int, repeats: int, names: Sequence[str]
) -> Iterator[tuple[str, Score]]:
    specs = [spec_of(world, each, seed) for seed in range(repeats)]
    own = [ours(world, spec) for spec in specs]
    yield "ours, TPE", score(world, truth, own)
    taught = [ours(world, spec_of(world, each, seed, "learned"), known) for seed in range(repeats)]
    yield "ours, learned", score(world, truth, taught)
    for name in names:
        verdicts = [OTHERS[name](world, spec, mine.cost) for spec, mine in zip(specs, own, strict=True)]
        yield name, score(world, truth, verdicts)


def said(truth: Truth, problem: str) -> str:
    ranked = sorted(truth.test, key=lambda name: truth.test[name])
    best = ", ".join(f"{name} {truth.test[name]:.4g}{'*' * (name in truth.truly_best)}" for name in ranked)
    return f"[bold]{problem}[/bold]: true test loss of each one's best (* truly best): {best}"


def cells(found: Score, epochs: int) -> list[str]:
    shares = (
        found.right,
        found.right_if_told,
        found.wrong_winner,
        found.winner,
        found.tie,
        found.left_behind,
    )
    claims = (found.leader_covered, found.differences_covered)
    claimed = [str(share) if share.repeats else "" for share in claims]
    return [*(str(share) for share in shares), *claimed, f"{found.epochs / epochs:.0f}"]


if __name__ == "__main__":
    typer.run(main)
