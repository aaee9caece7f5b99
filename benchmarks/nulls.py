"""How often is something wrong said of optimizers that are alike, and a better one found? python -m benchmarks.nulls

Costs are drawn, not trained, and go through the whole sequence of looks: search/verdict/judging.py's judge and next_look.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.share import Share
from optselect.search.verdict.judging import (
    LOOKS,
    MOST_SEEDS,
    Contender,
    Judgement,
    Relation,
    judge,
    next_look,
)

Numbers = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Numbers]
"""Numbers of mean 0 and of a spread of about 1."""


@dataclass(frozen=True)
class World:
    """Optimizers whose true costs are known; the first one is better by the lead, all others are alike."""

    name: str
    optimizers: int
    noise: Noise
    spread: float
    """Of a run around its optimizer's mean, as a share of that, beside what all share of a seed."""
    lead: float = 0.0
    agreement: float = 0.7
    """Correlation of a run's validation and test costs; 1: there is no test split."""
    step: float = 0.0
    """Costs are multiples of it, as a score of few rows is."""

    def draw(self, random: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Validation and test costs by optimizer and seed."""
        shape = (self.optimizers, MOST_SEEDS)
        means = np.full((self.optimizers, 1), 1.0)
        means[0] -= self.lead
        shared = 0.1 * self.noise(random, (1, MOST_SEEDS))
        common, chosen, judged = (self.noise(random, shape) for _ in range(3))
        alike, apart = self.agreement**0.5, (1 - self.agreement) ** 0.5
        return (
            self.scored(means * (1 + shared + self.spread * (alike * common + apart * chosen))),
            self.scored(means * (1 + shared + self.spread * (alike * common + apart * judged))),
        )

    def relation(self, rival: str, leader: str) -> Relation:
        """What is true of the two; a lead is never below the margin."""
        if not self.lead or "0" not in (rival, leader):
            return "equivalent"
        return "beaten" if leader == "0" else "ahead"

    def scored(self, costs: Numbers) -> Numbers:
        return np.round(costs / self.step) * self.step if self.step else costs


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
    drawn: Numbers = random.normal(size=shape)
    return drawn


def skewed(random: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
    """A few runs are far worse than the others, as where a seed is unlucky."""
    drawn: Numbers = (random.lognormal(sigma=0.8, size=shape) - np.exp(0.32)) / 1.31
    return drawn


def every_other_skewed(random: np.random.Generator, shape: tuple[int, ...]) -> Numbers:
    """Of optimizers with the same mean every other one has unlucky seeds."""
    drawn = normal(random, shape)
    drawn[::2] = skewed(random, drawn[::2].shape)
    return drawn


EQUALS = (
    World("2 alike", 2, normal, 0.10),
    World("8 alike", 8, normal, 0.10),
    World("8 alike, calm", 8, normal, 0.01),
    World("2 alike, skewed noise", 2, skewed, 0.10),
    World("8 alike, skewed noise", 8, skewed, 0.10),
    World("8 alike, test tells nothing of validation", 8, normal, 0.10, agreement=0.0),
    World("2 alike, no test split", 2, normal, 0.10, agreement=1.0),
    World("8 alike, no test split", 8, normal, 0.10, agreement=1.0),
    World("2 alike, one has skewed noise", 2, every_other_skewed, 0.10),
    World("8 alike, half have skewed noise", 8, every_other_skewed, 0.10),
    World("8 alike, a score of 100 rows", 8, normal, 0.10, step=0.1),
    World("2 alike, spread 0.5 %", 2, normal, 0.005),
)
LEADERS = (
    World("1 of 8 better by 10 %, spread 5 %", 8, normal, 0.05, lead=0.10),
    World("1 of 8 better by 10 %, spread 10 %", 8, normal, 0.10, lead=0.10),
    World("1 of 8 better by 10 %, skewed, spread 10 %", 8, skewed, 0.10, lead=0.10),
    World("1 of 2 better by 10 %, spread 10 %", 2, normal, 0.10, lead=0.10),
    World("1 of 2 better by 1 %: the margin, spread 0.5 %", 2, normal, 0.005, lead=0.01),
    World("1 of 8 better by 1 %: the margin, spread 0.5 %", 8, normal, 0.005, lead=0.01),
)


def main(repeats: int = 1000) -> None:
    """Print what the verdict says of optimizers that are alike, and of one that is better."""
    table = Table("world", *COLUMNS.values(), "most seeds (mean)")
    for world in (*EQUALS, *LEADERS):
        table.add_row(*row_of(world, list(verdicts(world, repeats))))
    console = Console(width=170)
    console.print(table)
    console.print(
        f"Shares of {repeats} repeats with Wilson's 95 % interval. Among equals every winner is another. Wrong of one: "
        "some optimizer was called beaten, ahead or equal beside another and is not."
    )


COLUMNS = {
    "right": "winner: the best",
    "wrong": "winner: another",
    "tie": "tie",
    "not_enough_evidence": "not enough",
    "wrong of one": "wrong of one",
}


def row_of(world: World, found: list[tuple[Judgement, int]]) -> Iterable[str]:
    counts = Counter(said(judgement, world) for judgement, _ in found)
    counts["wrong of one"] = sum(is_wrong_of_one(judgement, world) for judgement, _ in found)
    yield world.name
    for what in COLUMNS:
        yield str(Share(counts[what], len(found)))
    yield f"{sum(seeds for _, seeds in found) / len(found):.1f}"


def said(judgement: Judgement, world: World) -> str:
    if judgement.outcome != "winner":
        return judgement.outcome
    return "right" if world.lead and judgement.leader == "0" else "wrong"


def is_wrong_of_one(judgement: Judgement, world: World) -> bool:
    """Whether any optimizer beside the leader is called what it is not."""
    return any(
        found.relation not in ("undecided", world.relation(name, judgement.leader))
        for name, found in judgement.comparisons.items()
    )


def verdicts(world: World, repeats: int, seed: int = 0) -> Iterable[tuple[Judgement, int]]:
    """The verdicts on so many draws, each with the seeds that its leader took."""
    random = np.random.default_rng(seed)
    for _ in range(repeats):
        yield finals(*world.draw(random))


def finals(chosen: Numbers, judged: Numbers) -> tuple[Judgement, int]:
    """All looks over costs that are known for the most seeds; a look sees no more than the seeds it asked for."""
    seeds = {str(place): min(LOOKS) for place in range(len(chosen))}
    while True:
        contenders = [
            Contender(
                name,
                dict(enumerate(chosen[int(name), :count].tolist())),
                dict(enumerate(judged[int(name), :count].tolist())),
            )
            for name, count in seeds.items()
        ]
        judgement = judge(contenders)
        more = next_look(judgement, contenders)
        if not more:
            return judgement, seeds[judgement.leader]
        seeds |= more


if __name__ == "__main__":
    typer.run(main)
