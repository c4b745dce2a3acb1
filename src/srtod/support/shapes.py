"""Arrays that callers give, checked before anything is computed from them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from srtod.support.errors import InputError


def array_of(name: str, values: object, dtype: DTypeLike, *shape: int | str) -> NDArray[Any]:
    """Return values as an array of this type and shape; a letter stands for any size.

    Nothing at all, such as an empty list, may have any shape where a letter stands.

    Raises:
        InputError: they are none; names the argument, the shape that is needed and the one that was given.
    """
    try:
        array: Any = np.asarray(values, dtype=dtype)
        if not array.size:
            array = array.reshape([0 if isinstance(size, str) else size for size in shape])
    except (TypeError, ValueError, RuntimeError):
        array = None
    if (
        array is None
        or array.ndim != len(shape)
        or any(size != own for size, own in zip(shape, array.shape, strict=True) if not isinstance(size, str))
    ):
        own = getattr(values, "shape", None)
        given = type(values).__name__ if own is None else list(own)
        needed = ", ".join(map(str, shape))
        raise InputError(f"{name}: numbers [{needed}] are needed, not {given}")
    return array
