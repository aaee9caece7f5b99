"""Which optimizers does Keras 3.15 have, and in which ranges is each worth searching?

Every optimizer has ranges of its own: good learning rates differ by two decades between optimizers, so one
shared range would be a wrong comparison. Tier 1 is searched from 10 trials an optimizer on, the entries of
tier 2 join one after the other (tuned_dimensions). What is not searched stays at Keras's default.

epsilon stands inside the square root in RMSprop, Adagrad and Adadelta (Keras's update rules): its range
there is a narrowed square of Adam's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from optselect.search.spec.dimension import Dimension, choice, complement, linear, log

TINY = 0.999
"""Upper bound of 1 - x that keeps momentum and betas above 0: exactly 0 is another optimizer structure."""


@dataclass(frozen=True)
class Entry:
    """One optimizer of the catalogue."""

    optimizer: str
    """Keras's class name."""
    tier_1: tuple[Dimension, ...]
    tier_2: tuple[Dimension, ...]
    source: str
    """Where the ranges come from."""
    default: bool = False
    """Whether a study tries it unless told otherwise."""
    remark: str = ""


ENTRIES = (
    Entry(
        "SGD",
        (log("learning_rate", 1e-4, 3.0), complement("momentum", 5e-3, TINY)),
        (choice("nesterov", False, True), log("weight_decay", 1e-7, 5e-5)),
        "AlgoPerf momentum and nesterov, lower end widened so that Keras's 0.01 lies inside",
        default=True,
    ),
    Entry(
        "RMSprop",
        (log("learning_rate", 1e-5, 0.1), complement("rho", 1e-3, 0.5)),
        (log("epsilon", 1e-14, 1e-2), complement("momentum", 5e-3, TINY), choice("centered", False, True)),
        "after Choi et al. 2019, who tune learning rate, momentum, 1 - rho and epsilon",
        default=True,
    ),
    Entry(
        "Adam",
        (log("learning_rate", 1e-5, 0.1), complement("beta_1", 1e-2, TINY)),
        (log("epsilon", 1e-10, 1.0), complement("beta_2", 1e-4, 0.5)),
        "TaskSet's Adam, narrowed",
        default=True,
    ),
    Entry(
        "AdamW",
        (log("learning_rate", 1e-5, 0.1), complement("beta_1", 1e-2, TINY), log("weight_decay", 1e-4, 1.0)),
        (log("epsilon", 1e-10, 1.0), complement("beta_2", 1e-4, 0.5)),
        "AlgoPerf AdamW, widened like Adam",
        default=True,
    ),
    Entry(
        "Nadam",
        (log("learning_rate", 1e-5, 0.1), complement("beta_1", 4e-3, 0.5)),
        (log("epsilon", 1e-10, 1.0), complement("beta_2", 1e-4, 0.5)),
        "AlgoPerf and TaskSet NadamW",
        default=True,
    ),
    Entry(
        "Adagrad",
        (log("learning_rate", 1e-4, 1.0),),
        (log("initial_accumulator_value", 1e-6, 1.0),),
        "Keras documents 1.0 as the paper's value; its default 0.001 is far too small on most problems",
        default=True,
    ),
    Entry(
        "Adadelta",
        (log("learning_rate", 1e-2, 10.0), complement("rho", 1e-3, 0.5)),
        (log("epsilon", 1e-9, 1e-2),),
        "the paper's learning rate is 1.0 (arXiv 1212.5701)",
        default=True,
        remark="Keras's default learning rate 0.001 hardly trains and lies outside the range on purpose",
    ),
    Entry(
        "Lion",
        (log("learning_rate", 1e-6, 1e-2), complement("beta_1", 1e-2, 0.9), complement("beta_2", 1e-3, 0.5)),
        (log("weight_decay", 1e-3, 3.0),),
        "Lion paper (arXiv 2302.06675): learning rate 3-10x below AdamW's, weight decay 3-10x above",
        default=True,
    ),
    Entry(
        "Adamax",
        (log("learning_rate", 1e-5, 0.1), complement("beta_1", 1e-2, TINY)),
        (complement("beta_2", 1e-4, 0.5),),
        "by analogy with Adam",
    ),
    Entry(
        "Adafactor",
        (log("learning_rate", 1e-4, 0.1),),
        (linear("beta_2_decay", -1.0, -0.5),),
        "AlgoPerf Adafactor; Keras's rate never exceeds 1 / sqrt(step) (arXiv 1804.04235)",
    ),
    Entry(
        "Lamb",
        (log("learning_rate", 1e-4, 0.1), complement("beta_1", 5e-2, 0.3)),
        (log("weight_decay", 1e-3, 1.0),),
        "AlgoPerf Lamb (arXiv 1904.00962)",
        remark="made for large batches",
    ),
    Entry(
        "Ftrl",
        (log("learning_rate", 1e-3, 3.0),),
        (log("l1_regularization_strength", 1e-8, 0.1), log("l2_regularization_strength", 1e-8, 0.1)),
        "by analogy",
        remark="for linear and sparse models: its first update nearly erases the initial weights",
    ),
    Entry(
        "Muon",
        (log("learning_rate", 1e-4, 0.1), complement("momentum", 1e-2, 0.3)),
        (log("weight_decay", 1e-4, 1.0),),
        "Keras's docstring (arXiv 2502.16982)",
        remark="matrices only, the rest is AdamW; the output layer is excluded",
    ),
    Entry(
        "ScheduleFreeAdamW",
        (log("learning_rate", 1e-4, 0.1), complement("beta_1", 2e-2, 0.3)),
        (choice("warmup_fraction", 0.0, 0.05, 0.1),),
        "AlgoPerf 2024 (arXiv 2405.15682)",
        remark="Keras evaluates it at the training point, not at the average",
    ),
)

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.optimizer: entry for entry in ENTRIES})

DEFAULT_OPTIMIZERS = tuple(entry.optimizer for entry in ENTRIES if entry.default)
