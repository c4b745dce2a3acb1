"""What every pass computes again although it never changes, computed once: for networks no longer trained."""

from collections.abc import Callable, Iterator
from typing import Any

import timm.layers
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from srtod.pyramids.switchable import StandardisedConv2d
from srtod.pyramids.trident import BranchedConv

_FOLDED_CONVS = (nn.Conv2d, timm.layers.Conv2dSame, BranchedConv)
"""Exactly these: a subclass may recompute its weights in every pass, as standardised convolutions do."""


def fold_batch_norm(network: nn.Module) -> int:
    """Fold every BatchNorm that alone reads a plain convolution's output into that convolution, in place.

    Its stored statistics become part of the convolution's weights; the outputs stay the same up to rounding.
    What else stands in a network is left as it is: other normalisation, BatchNorm before a convolution or
    behind one of another kind, a convolution or BatchNorm that is used more than once.

    Args:
        network: in evaluation mode.

    Returns:
        How many were folded.

    Raises:
        ValueError: the network is in training mode, in which BatchNorm uses the statistics of each batch.
    """
    if network.training:
        raise ValueError("BatchNorm can be folded in evaluation mode only")
    pairs = list(_pairs(network))
    for conv_name, norm_name in pairs:
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        network.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))  # ty: ignore[invalid-argument-type]
        network.set_submodule(norm_name, _activation(norm))
    return len(pairs)


def settle_standardised_weights(network: nn.Module) -> None:
    """Replace every convolution that standardises its weights in each pass by a plain one, in place.

    Switchable convolutions, which need more than the weights, stay.
    """
    for name, module in list(network.named_modules()):
        if type(module) is StandardisedConv2d:
            network.set_submodule(name, _plain(module))


def _plain(conv: StandardisedConv2d) -> nn.Conv2d:
    weight = conv.standardised_weight().detach()
    plain = nn.Conv2d(
        weight.shape[1] * conv.groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",
    )
    plain.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    plain.bias = conv.bias
    return plain.eval()


def _activation(norm: nn.Module) -> nn.Module:
    """What remains of a BatchNorm when the normalisation is folded away."""
    if isinstance(norm, timm.layers.BatchNormAct2d):
        return nn.Sequential(norm.drop, norm.act)
    return nn.Identity()


def _pairs(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names of the convolutions and BatchNorms that can be folded, found by following the data.

    Parts that cannot be followed, such as loops over a number of boxes, are looked into one by one.
    """
    if not any(isinstance(part, _BatchNorm) for part in network.modules()):
        return
    tracer = _Tracer()
    try:
        graph = tracer.trace(network)
    except Exception:
        opaque = [name for name, _ in network.named_children()]
    else:
        opaque = tracer.opaque
        modules = dict(network.named_modules())
        calls = [node for node in graph.nodes if node.op == "call_module"]
        used = [str(node.target) for node in calls]
        for norm in calls:
            conv = norm.args[0] if norm.args else None
            if (
                isinstance(conv, fx.Node)
                and _foldable(modules.get(str(conv.target)), modules[str(norm.target)])
                and len(conv.users) == used.count(str(conv.target)) == used.count(str(norm.target)) == 1
            ):
                yield f"{prefix}{conv.target}", f"{prefix}{norm.target}"
    for name in opaque:
        yield from _pairs(network.get_submodule(name), f"{prefix}{name}.")


def _foldable(conv: nn.Module | None, norm: nn.Module) -> bool:
    return type(conv) in _FOLDED_CONVS and isinstance(norm, _BatchNorm) and norm.running_mean is not None


class _Tracer(fx.Tracer):
    """Follows the data through a network; a part that cannot be followed counts as one step.

    Attributes:
        opaque: names of the parts that could not be followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opaque: list[str] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Convolutions and BatchNorms of any kind are steps, beside all of torch's own modules."""
        is_step = isinstance(m, (nn.modules.conv._ConvNd, _BatchNorm))
        return is_step or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Follow the data through a part, or go around it."""
        before = len(self.graph.nodes)
        opaque_before = len(self.opaque)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            name = self.path_of_module(m)
            for node in reversed(list(self.graph.nodes)[before:]):
                self.graph.erase_node(node)
            self.opaque[opaque_before:] = [name]
            return self.create_proxy("call_module", name, args, kwargs)
