"""How does a trial get its numbers? From TPE that sees the trials of its own optimizer only.

One sampler over all optimizers ranks all trials together: an optimizer without a trial among the best
tenth is then proposed away from whatever it tried, and never tuned.
"""

import copy
import functools
import itertools
from collections.abc import Callable, Container
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from optselect.storage.records.tickets import SEARCH_PHASES

NEWEST = 1000
"""TPE's cost is linear in the trials it sees."""

View = Callable[[Study], Study]


class ViewedTPE(TPESampler):
    """Optuna's TPE on a view of the study; one object per ticket.

    Args:
        view: from the study to what the sampler may see of it.
        seed: workers that share a seed propose the same points.
        startup: trials of the view before TPE replaces random sampling.
    """

    def __init__(self, view: View, seed: int, startup: int = 10) -> None:
        super().__init__(multivariate=True, constant_liar=True, n_startup_trials=startup, seed=seed)
        self._view = view
        self._seen: tuple[int, Study] | None = None  # a trial and the view that its questions share

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return super().infer_relative_search_space(self.seen(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return super().sample_relative(self.seen(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(self.seen(study, trial), trial, param_name, param_distribution)

    def seen(self, study: Study, trial: FrozenTrial) -> Study:
        """The view of one trial, read once: each reading of a long study costs milliseconds."""
        if self._seen is None or self._seen[0] != trial._trial_id:
            self._seen = trial._trial_id, self._view(study)
        return self._seen[1]


def search_trials_of(optimizer: str) -> View:
    """A view that keeps the newest search trials of one optimizer: evaluation runs repeat other seeds."""

    def keep(trial: FrozenTrial) -> bool:
        fixed = trial.system_attrs.get("fixed_params", {})
        return fixed.get("optimizer") == optimizer and trial.user_attrs.get("phase") in SEARCH_PHASES

    return lambda study: viewed(study, keep)


def all_search_trials(study: Study) -> Study:
    """A view for a sampler that chooses the optimizer too."""
    return viewed(study, lambda trial: trial.user_attrs.get("phase") in SEARCH_PHASES)


def viewed(study: Study, keep: Callable[[FrozenTrial], bool]) -> Study:
    """The study as if it held some of its trials only, the newest of them, as they are at the first question.

    Samplers read trials through the study's private `_get_trials` (Optuna 5.0; a test pins it).
    """

    @functools.cache
    def kept() -> list[FrozenTrial]:
        # From the newest back, and no further than wanted.
        known = reversed(study._get_trials(deepcopy=False, use_cache=False))
        return list(itertools.islice(filter(keep, known), NEWEST))[::-1]

    def trials(
        deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        chosen = [trial for trial in kept() if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    seen = copy.copy(study)  # Study leaves its thread-local cache out of a copy
    seen._get_trials = trials  # type: ignore[method-assign]
    seen.get_trials = trials  # type: ignore[method-assign]
    return seen
