"""Running a network: in evaluation amid its training, and with enough to normalise."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from srtod.support.errors import InputError


def batch_norms(network: nn.Module) -> Iterator[tuple[str, nn.modules.batchnorm._BatchNorm]]:
    """Names and modules of all BatchNorm layers within a network."""
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield name, module


@contextmanager
def evaluating(network: object) -> Generator[None]:
    """Evaluation mode without gradients; then, also after an error, every module has its own mode again.

    What is no network, such as an exported program, has no modes.
    """
    own = network if isinstance(network, nn.Module) else nn.Identity()
    modes = [(module, module.training) for module in own.modules()]
    try:
        own.eval()
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def enough_to_normalise(words: str) -> Generator[None]:
    """Say in our words what torch says where a channel, or a group of them, has a single value to normalise.

    Raises:
        InputError: with these words.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(words) from error
