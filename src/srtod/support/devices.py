"""Devices by name, and the precision they compute in."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import torch
from torch import Tensor

from srtod.defaults import Precision
from srtod.support.errors import InputError

ANY = ("auto", "cpu", "cuda", "cuda:1", "mps")
ONE_GPU = ("auto", "cpu", "cuda")
"""Where processes share GPUs out among themselves, or a GPU is only told from a CPU."""


def choose_device(name: str, *, among: Sequence[str] = ANY) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU where there is one.

    Args:
        name: one of ``among``; ``cuda:1`` stands for any number.
        among: :data:`ANY` or :data:`ONE_GPU`.

    Raises:
        InputError: unknown, or not there.
    """
    if re.sub(r":\d+$", ":1", name) not in among:
        how = "; choose among GPUs with CUDA_VISIBLE_DEVICES" if name.startswith("cuda:") else ""
        raise InputError(f"device {name!r}: not one of {', '.join(among)}{how}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type != "cpu":
        _require_there(device)
    return device


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; only copies to a GPU may be under way, since who computes there waits."""
    return tensor.to(device, non_blocking=device.type != "cpu")


def in_precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network runs in a precision: autocast, so that weights stay float32.

    Args:
        precision: a :data:`~srtod.defaults.Precision`.
        device: where it runs.

    Raises:
        InputError: unknown, or the device does not do it.
    """
    require_precision(precision, device)
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def trains_channels_last(device: torch.device) -> bool:
    """Whether training is faster where the channels of a cell are together in memory.

    On a GPU, and on a CPU with vectors of 512 bits, where a step took a tenth less. With vectors of 256 bits
    the gradients of convolutions made it a third longer; other processors were not tried, and keep the usual
    layout.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"


def predicts_channels_last(device: str, precision: str) -> bool:
    """Whether prediction is faster where the channels of a cell are together: on a CPU, on tensor cores."""
    return device == "cpu" or (device == "cuda" and precision != "fp32")


def require_precision(precision: str, device: torch.device) -> None:
    """Make sure that a device does a precision, before any work.

    Raises:
        InputError: unknown, or the device does not do it.
    """
    if precision not in get_args(Precision):
        raise InputError(f"precision {precision!r}: not one of {', '.join(get_args(Precision))}")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 needs a GPU; on a CPU take bf16 or fp32")
    if precision == "bf16" and device.type == "cuda" and not computes_bf16(device):
        name = torch.cuda.get_device_name(device)
        raise InputError(f"precision bf16: {name} does not do it; take fp16 or fp32")


def computes_bf16(device: torch.device) -> bool:
    """Whether a GPU computes in bfloat16 itself; older ones emulate it, slower than float32."""
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def _require_there(device: torch.device) -> None:
    count = torch.get_device_module(device.type).device_count()
    if count == 0:
        raise InputError(f"device '{device}': no GPU is available here; take cpu")
    if (device.index or 0) >= count:
        raise InputError(f"device '{device}': the last GPU here is {device.type}:{count - 1}")
