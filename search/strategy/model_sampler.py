"""How does a trial get its numbers? From one model over all optimizers of the study, which known tasks have taught.

For Optuna it is a sampler like any other: it reads ordinary trials, and proposes parameters. What it knows beside them
is the study's space. On a study of another kind it models the parameters that all its trials have in common.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from optselect.search.knowledge.branches import branches_of
from optselect.search.knowledge.kin import Kin
from optselect.search.knowledge.known_tasks import KnownTasks, known_tasks
from optselect.search.knowledge.task_model import TaskModel
from optselect.search.spec.dimension import Choice, Dimension
from optselect.search.spec.objective import Objective
from optselect.search.strategy.results import UNTRAINED, optimizer_of, told_by
from optselect.search.verdict.importance import distribution

Space = Mapping[str, Sequence[Dimension]]
OPTIMIZER = "optimizer"
MOST = 400
"""So many trials are heard at most: the model's cost grows with the cube of the results."""


class ModelSampler(BaseSampler):
    """One Gaussian process over all optimizers; one object per ticket.

    Args:
        seed: workers that share it and have seen the same trials propose the same.
        space: what the study searches of each optimizer; empty for a study of another kind.
        kin: on whom those lean that no task was trained with.
        jointly: whether the optimizer is chosen, too.
        known: the tasks that teach; by default those of the package.
    """

    def __init__(
        self,
        seed: int,
        space: Space = MappingProxyType({}),
        kin: Kin = MappingProxyType({}),
        jointly: bool = False,
        known: KnownTasks | None = None,
    ) -> None:
        self._seed, self._space, self._kin, self._jointly = seed, space, kin, jointly
        self._known = known_tasks() if known is None else known
        self._independent = RandomSampler(seed)

    def reseed_rng(self) -> None:
        """Optuna asks for it in each thread of one study; candidates then differ, too."""
        self._independent.reseed_rng()
        self._seed = int(np.random.default_rng().integers(2**31))

    # --- Optuna's questions ---

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._space:
            wanted = (
                self._space if self._jointly else {asked_for(trial): self._space.get(asked_for(trial), ())}
            )
            choice = {OPTIMIZER: CategoricalDistribution(tuple(self._space))} if self._jointly else {}
            return choice | {
                f"{optimizer}.{one.parameter}": distribution(one)
                for optimizer, dimensions in wanted.items()
                for one in dimensions
                if one.scale != "fixed"
            }
        common = IntersectionSearchSpace().calculate(study)
        return {name: one for name, one in common.items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        demand_one_objective(study)
        if not search_space:
            return {}
        if self._space:
            return self.proposed(study, trial)
        space = {"": [dimension_of(name, one) for name, one in search_space.items()]}
        model = self.model_of(study, trial, space)
        sampled = model.proposal("", self._seed + trial.number).candidate.sampled
        return {name: fitting(sampled[name], one) for name, one in search_space.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        demand_one_objective(study)
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    # --- the model's answer ---

    def proposed(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Parameters of the asked optimizer, or of that which gains most, and the optimizer."""
        model = self.model_of(study, trial, self._space)
        if self._jointly:
            best = model.best_proposal(self.tried(study), self._seed)
        else:
            best = model.proposal(asked_for(trial), self._seed)
        parameters = {one.keyword: one.parameter for one in self._space[best.optimizer]}
        choice = {OPTIMIZER: best.optimizer} if self._jointly else {}
        return choice | {
            f"{best.optimizer}.{parameters[keyword]}": value
            for keyword, value in best.candidate.sampled.items()
        }

    def model_of(self, study: Study, trial: FrozenTrial, space: Space) -> TaskModel:
        """What is known of the study, but for the trial itself."""
        objective = Objective("", "minimize" if study.direction.name == "MINIMIZE" else "maximize")
        others = [
            one for one in study._get_trials(deepcopy=False, use_cache=False) if one.number != trial.number
        ]
        told = told_by(heard(others, objective), objective, space)
        branches = branches_of(space, self._known, self._kin)
        return TaskModel(branches, self._known, told.results, told.untrained)

    def tried(self, study: Study) -> Sequence[str]:
        """The optimizers that are not set aside: their trials are passed over, and told as explosions."""
        trials = study._get_trials(deepcopy=False, use_cache=True, states=(TrialState.PRUNED,))
        aside = {optimizer_of(one) for one in trials if one.user_attrs.get("outcome") == "failed"}
        return [name for name in self._space if name not in aside] or list(self._space)


def heard(trials: Sequence[FrozenTrial], objective: Objective) -> Sequence[FrozenTrial]:
    """All trials, or of very many the best and the newest, and that which tells the untrained model's value."""
    if len(trials) <= MOST:
        return trials
    values = [(one.value, one.number) for one in trials if one.state == TrialState.COMPLETE]
    ranked = sorted((objective.rank(value), number) for value, number in values)
    kept = {number for _, number in ranked[: MOST // 2]} | {one.number for one in trials[-MOST // 2 :]}
    return [one for one in trials if one.number in kept or UNTRAINED in one.user_attrs]


def asked_for(trial: FrozenTrial) -> str:
    """The optimizer of a ticket."""
    return str(trial.system_attrs.get("fixed_params", {}).get(OPTIMIZER, ""))


def demand_one_objective(study: Study) -> None:
    if study._is_multi_objective():
        raise ValueError("The model must have one objective. Received: a study with several.")


# --- Optuna's distributions -----------------------------------------------------------------------------


def dimension_of(name: str, distribution: BaseDistribution) -> Dimension:
    """A parameter of another study as one of ours."""
    if isinstance(distribution, CategoricalDistribution):
        return Dimension(keyword=name, scale="choice", choices=distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return Dimension(
        keyword=name,
        scale="log" if distribution.log else "linear",
        low=distribution.low,
        high=distribution.high,
    )


def fitting(sampled: Choice, distribution: BaseDistribution) -> Any:
    """The nearest value that the distribution has."""
    if isinstance(distribution, CategoricalDistribution):
        return sampled
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    value, step = float(sampled or 0.0), distribution.step
    if step is not None:
        value = distribution.low + round((value - distribution.low) / step) * step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else value
