"""Weights that hold numbers, and lead to numbers."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from srtod.support.errors import InputError

_ABSURD = 1e15
"""No layer of a detector that works gives so large a number; its square still is a float32."""


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


@contextmanager
def require_sane_outputs(network: nn.Module, where: str) -> Generator[None]:
    """Watch what the layers of a network compute in the block.

    Raises:
        InputError: a layer gives numbers that are not finite, or absurdly large; begins with ``where``.
    """

    def watch(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.numel() and not bool(output.abs().max() < _ABSURD):
            raise InputError(
                f"{where}: with these weights {name!r} gives numbers that are not finite or absurdly large, "
                "so nothing can be found; take other weights"
            )

    handles = [
        layer.register_forward_hook(lambda _layer, _input, output, name=name: watch(name, output))
        for name, layer in network.named_modules()
        if not any(layer.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
