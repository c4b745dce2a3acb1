"""How often an image comes in an epoch: more than once where it shows a rare class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srtod.data.records import ImageRecord


def repeat_factors(records: Sequence[ImageRecord], threshold: float) -> NDArray[np.float64]:
    """Return how often each image comes in an epoch on average, ``[N]``, at least once.

    The square root of ``threshold`` over the share of the images that show the rarest class of the image
    (repeat-factor sampling, Gupta et al., LVIS, CVPR 2019, section 4).

    Args:
        records: the images; regions to ignore show nothing.
        threshold: share of the images below which a class is rare.
    """
    shown = [np.unique(record.labels[~record.ignore]) for record in records]
    shares = np.bincount(np.concatenate([np.zeros(0, np.int64), *shown])) / len(records)
    rarest = np.array([shares[labels].min(initial=1.0) for labels in shown])
    return np.maximum(1.0, np.sqrt(threshold / rarest))


def repeated(factors: NDArray[np.float64], chance: np.random.Generator) -> NDArray[np.int64]:
    """Return the items of one epoch, ``[M]``, copy k of image i as ``i + k * N``.

    Images come as often as their factor says, rounded up or down by chance so that M is the sum of all
    factors but for less than one (systematic sampling of the fractions in an order of its own).
    """
    order = chance.permutation(len(factors))
    whole = factors.astype(np.int64)
    steps = np.floor(np.cumsum((factors - whole)[order]) + chance.random()).astype(np.int64)
    copies = whole.copy()
    copies[order] += np.diff(steps, prepend=0)
    return np.concatenate([np.flatnonzero(copies > k) + k * len(factors) for k in range(copies.max())])
