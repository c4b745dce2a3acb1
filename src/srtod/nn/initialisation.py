"""What layers start as, where it is not PyTorch's own choice."""

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def zero(layer: Layer, *, bias: float = 0.0) -> Layer:
    """Let a layer start with weights of zero and a given bias; return it."""
    nn.init.zeros_(layer.weight)
    return _with_bias(layer, bias)


def near_zero(layer: Layer, *, std: float = 0.01, bias: float = 0.0) -> Layer:
    """Let a layer start with normal weights of deviation ``std`` and a given bias; return it."""
    nn.init.normal_(layer.weight, std=std)
    return _with_bias(layer, bias)


def _with_bias(layer: Layer, bias: float) -> Layer:
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer
