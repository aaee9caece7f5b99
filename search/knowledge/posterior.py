"""What is expected after some trainings of the task?

A study's levels are height + spread x standardised level + noise. The height is normal and integrated out; spread and
noise are those that explain the results best (Rasmussen and Williams 2006, chapter 5), from a grid, so that the same
results give the same answer everywhere.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from optselect.search.knowledge.constants import Constants
from optselect.search.knowledge.known_tasks import KnownTasks, Numbers
from optselect.search.knowledge.prior import Places

SPREADS = (-2.4, -1.8, -1.2, -0.6, 0.0, 0.6, 1.2, 1.8, 2.4, 3.0, 3.6)
"""In standard deviations of its logarithm among the known tasks."""
NOISES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
TINY = 1e-6


@dataclass(frozen=True)
class Outlook:
    """What is expected of a study's height, spread and noise."""

    height: float
    height_sd: float
    log_spread: float
    log_spread_sd: float
    log_noise: float
    log_noise_sd: float

    @classmethod
    def of(
        cls, known: KnownTasks, untrained: float | None, levels: Numbers, constants: Constants
    ) -> "Outlook":
        """From the known tasks; without a known level of the untrained model the height is nearly flat."""
        spreads = np.log(known.spreads) if len(known.names) else np.zeros(1)
        if untrained is None:
            middle = float(levels.mean()) if len(levels) else 0.0
            height, sd = middle, 5.0
        else:
            heights = known.heights if len(known.names) > 1 else np.array([-1.5, -0.5])
            height, sd = untrained + float(heights.mean()), constants.height_sd * float(heights.std())
        return cls(
            height,
            sd,
            float(spreads.mean()),
            max(float(spreads.std()), constants.spread_sd),
            float(np.log(constants.noise)),
            constants.noise_sd,
        )

    def log_density(self, spread: float, noise: float) -> float:
        """Of a spread and a noise, but for a constant."""
        noise_off = (np.log(noise) - self.log_noise) / self.log_noise_sd
        spread_off = (np.log(spread) - self.log_spread) / self.log_spread_sd
        return float(-0.5 * (spread_off**2 + noise_off**2))


@dataclass(frozen=True)
class Fit:
    """The results under one spread and one noise."""

    spread: float
    noise: float
    evidence: float
    """Logarithm of the density of the results, with that of spread and noise."""
    lower: Numbers
    """Cholesky's factor of the results' covariance."""
    whitened: Numbers
    """Each result less what those before it said, in standard deviations."""


@dataclass(frozen=True)
class Posterior:
    """A study's results at their places, and what follows for others."""

    places: Places
    levels: Numbers
    outlook: Outlook
    given: tuple[float, float] | None = None
    """Spread and noise, where they are not to be found."""
    begin: tuple[int, int] = SPREADS.index(0.0), NOISES.index(0.08)
    """Where on the grid they are looked for first."""

    @cached_property
    def covariance(self) -> Numbers:
        return self.places.covariance(self.places)

    @cached_property
    def fit(self) -> Fit:
        """The most plausible one: uphill on the grid of spreads and noises, from what the known tasks had."""
        return self.fitted(*self.given) if self.given is not None else self.top[1]

    @cached_property
    def top(self) -> tuple[tuple[int, int], Fit]:
        """The top of the grid, and the fit there."""
        tried: dict[tuple[int, int], Fit] = {}
        here = self.begin
        while True:
            for place in (here, *beside(*here)):
                if place not in tried:
                    tried[place] = self.fitted(self.spreads[place[0]], NOISES[place[1]])
            best = max((here, *beside(*here)), key=lambda place: tried[place].evidence)
            if best == here:
                return here, tried[here]
            here = best

    @property
    def spreads(self) -> list[float]:
        """The spreads of the grid."""
        outlook = self.outlook
        return [float(np.exp(outlook.log_spread + off * outlook.log_spread_sd)) for off in SPREADS]

    def fitted(self, spread: float, noise: float) -> Fit:
        outlook, count = self.outlook, len(self.levels)
        matrix = spread**2 * self.covariance + outlook.height_sd**2
        matrix[np.diag_indices(count)] += noise**2 + TINY * spread**2
        lower = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        expected = outlook.height + spread * self.places.mean
        whitened = solve_triangular(lower, self.levels - expected, lower=True, check_finite=False)
        evidence = -0.5 * whitened @ whitened - np.log(np.diag(lower)).sum()
        return Fit(spread, noise, float(evidence) + outlook.log_density(spread, noise), lower, whitened)

    @cached_property
    def means(self) -> Numbers:
        """What the results' own configurations are taken to be: as at(places) says, without its cost."""
        fit = self.fit
        solved = solve_triangular(fit.lower, fit.whitened, lower=True, trans=1, check_finite=False)
        found: Numbers = self.levels - (fit.noise**2 + TINY * fit.spread**2) * solved
        return found

    def at(self, places: Places) -> "Prediction":
        """What is expected of configurations, without the noise of a run."""
        fit, height = self.fit, self.outlook.height_sd**2
        across = fit.spread**2 * places.covariance(self.places) + height
        solved = solve_triangular(fit.lower, across.T, lower=True, check_finite=False)
        mean = self.outlook.height + fit.spread * places.mean + solved.T @ fit.whitened
        variance = fit.spread**2 * places.variance() + height - (solved**2).sum(axis=0)
        return Prediction(places, mean, np.sqrt(np.maximum(variance, TINY)), solved, fit, height)


@dataclass(frozen=True)
class Prediction:
    """What is expected of some configurations, as levels."""

    places: Places
    mean: Numbers
    sd: Numbers
    solved: Numbers
    fit: Fit
    height: float

    def joint(self) -> Numbers:
        """The covariance of all of them, n x n."""
        found: Numbers = (
            self.fit.spread**2 * self.places.covariance(self.places)
            + self.height
            - self.solved.T @ self.solved
        )
        return found

    def samples(self, count: int, seed: int) -> Numbers:
        """So many joint draws, count x n: for questions about several configurations at once."""
        values, vectors = np.linalg.eigh(self.joint())
        roots = vectors * np.sqrt(np.maximum(values, 0.0))
        draws = np.random.default_rng(seed).standard_normal((count, len(values)))
        found: Numbers = self.mean + draws @ roots.T
        return found


def beside(spread: int, noise: int) -> list[tuple[int, int]]:
    """The neighbours of a place of the grid.

    >>> beside(0, 1)
    [(1, 1), (0, 0), (0, 2)]
    """
    around = [(spread - 1, noise), (spread + 1, noise), (spread, noise - 1), (spread, noise + 1)]
    return [(s, n) for s, n in around if 0 <= s < len(SPREADS) and 0 <= n < len(NOISES)]


def expected_improvement(prediction: Prediction, best: float) -> Numbers:
    """By how much each is expected to be below the best level (Jones, Schonlau and Welch 1998)."""
    from scipy.special import ndtr

    below = (best - prediction.mean) / prediction.sd
    density = np.exp(-0.5 * below**2) / np.sqrt(2 * np.pi)
    found: Numbers = prediction.sd * (below * ndtr(below) + density)
    return found
