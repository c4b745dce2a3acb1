"""Weights that hold numbers."""

from collections.abc import Mapping

from torch import Tensor

from srtod.support.errors import InputError


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are not finite: a detector with them finds nothing and says nothing.

    Args:
        state: tensors by name.
        where: the file they are from, for the message.

    Raises:
        InputError: a tensor has NaN or infinite numbers; the first one is named.
    """
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise InputError(
                f"{where}: {name!r} has numbers that are not finite (NaN or infinite); take other weights, "
                "such as those of an earlier epoch"
            )
