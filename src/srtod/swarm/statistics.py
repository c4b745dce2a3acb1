"""How many drones a picture shows and how large they are, after the DroneSwarms data set."""

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

OBJECTS_PER_IMAGE = 26.59
"""Mean number of drones in an image of DroneSwarms."""

MEAN_SIZE = 7.9
"""Mean square root of the box area in DroneSwarms, in pixels."""

SHARE_UNDER_32 = 0.996
"""Share of drones in DroneSwarms that are at most 32 px."""

SPREAD = 0.594
"""Standard deviation of the logarithm of the size.

The logarithm of a size is taken for normal with mean m and deviation s. From the mean size, m + s^2 / 2 =
ln 7.9; from the share, m + 2.652 s = ln 32 (2.652 is the 0.996 quantile). Both together leave s = 0.594.
"""

_SMALLEST = 2.0
_LARGEST_OVER_MEAN = 8.0
_NORMAL = NormalDist()
# Sizes in one picture resemble one another: its drones fly at similar distances.
_ALIKE = 0.45
_COUNT_SHAPE = 1.5


@dataclass(frozen=True)
class Sizes:
    """Log-normal sizes in pixels, cut to ``[low, high]``.

    Attributes:
        centre: mean of the logarithm before the cut.
        low, high: bounds.
    """

    centre: float
    low: float
    high: float

    @classmethod
    @lru_cache(maxsize=8)
    def of_mean(cls, mean: float) -> "Sizes":
        """Find the distribution whose mean, after the cut, is ``mean`` pixels (more than 2)."""
        low, high = _SMALLEST, _LARGEST_OVER_MEAN * mean
        below, above = np.log(low) - 8 * SPREAD, np.log(high) + 8 * SPREAD
        for _ in range(60):
            centre = (below + above) / 2
            if cls(centre, low, high).mean < mean:
                below = centre
            else:
                above = centre
        return cls(float(centre), low, high)

    @property
    def mean(self) -> float:
        """Mean in pixels."""
        first, last = self._standard(self.low), self._standard(self.high)
        inside = _NORMAL.cdf(last) - _NORMAL.cdf(first)
        moved = _NORMAL.cdf(last - SPREAD) - _NORMAL.cdf(first - SPREAD)
        return float(np.exp(self.centre + SPREAD**2 / 2) * moved / inside)

    def quantile(self, share: float) -> float:
        """Size that the given share of objects does not exceed."""
        first, last = _NORMAL.cdf(self._standard(self.low)), _NORMAL.cdf(self._standard(self.high))
        standard = _NORMAL.inv_cdf(float(np.clip(first + share * (last - first), 1e-12, 1 - 1e-12)))
        return float(np.clip(np.exp(self.centre + SPREAD * standard), self.low, self.high))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Draw the sizes of the objects of one picture.

        Over many pictures they follow this distribution; within one picture they are alike.
        """
        normal = np.sqrt(_ALIKE) * rng.standard_normal() + np.sqrt(1 - _ALIKE) * rng.standard_normal(count)
        return np.array([self.quantile(_NORMAL.cdf(float(value))) for value in normal])

    def _standard(self, size: float) -> float:
        return (float(np.log(size)) - self.centre) / SPREAD


def sample_count(rng: np.random.Generator, mean: float) -> int:
    """Draw the number of objects in a picture: at least 1, ``mean`` on average, often few, sometimes many.

    One more than a negative binomial number of shape 1.5: with a mean of 26.6, every hundredth picture has
    more than a hundred.
    """
    return 1 + int(rng.poisson(rng.gamma(_COUNT_SHAPE, (mean - 1) / _COUNT_SHAPE)))
