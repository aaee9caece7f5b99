"""Which trainings are measured? Four small problems, and the same drawn settings of eight optimizers on each."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One problem and how long a trial trains on it."""

    letter: str
    problem: str  # a bundled name, or a file
    epochs: int
    words: str


WORKLOADS: Mapping[str, Workload] = {
    "A": Workload("A", "diabetes", 10, "diabetes, 352 rows, 10-64-1, batch 32"),
    "B": Workload("B", "fashion", 5, "Fashion-MNIST, 10,000 rows, 784-128-10, batch 128"),
    "C": Workload("C", "digits", 12, "digits, 1,200 images, a small CNN, batch 64"),
    "D": Workload(
        "D", str(Path(__file__).with_name("text.py")), 3, "text, 2,000 rows, Embedding + GRU, batch 64"
    ),
}


@dataclass(frozen=True)
class Setting:
    """An optimizer of Keras with its arguments; `label` tells SGD with momentum from SGD."""

    label: str
    optimizer: str
    arguments: Mapping[str, float]


# Rates from which no workload diverges: a trial that ends early would look cheap.
RATES: Mapping[str, tuple[float, float]] = {
    "SGD": (1e-3, 2e-2),
    "momentum": (3e-4, 3e-3),
    "RMSprop": (1e-4, 5e-3),
    "Adam": (1e-4, 1e-2),
    "AdamW": (1e-4, 1e-2),
    "Adagrad": (1e-3, 5e-2),
    "Nadam": (1e-4, 1e-2),
    "Lion": (3e-5, 1e-3),
}


def settings(count: int, seed: int = 0) -> Iterator[Setting]:
    """Draw settings, one optimizer after the other, as a study hands out its trials; the same for all methods."""
    random = np.random.default_rng(seed)
    labels = tuple(RATES)
    for number in range(count):
        yield _drawn(labels[number % len(labels)], random)


def _drawn(label: str, random: np.random.Generator) -> Setting:
    low, high = RATES[label]
    arguments = {"learning_rate": math.exp(random.uniform(math.log(low), math.log(high)))}
    decay = 1 - 10 ** random.uniform(-2, -0.5)
    match label:
        case "momentum":
            arguments["momentum"] = decay
        case "RMSprop":
            arguments["rho"] = decay
        case "Adam" | "AdamW" | "Nadam" | "Lion":
            arguments["beta_1"] = decay
    if label == "AdamW":
        arguments["weight_decay"] = 10 ** random.uniform(-4, -1)
    return Setting(label, "SGD" if label == "momentum" else label, arguments)
