"""Devices by name."""

import re
from collections.abc import Sequence

import torch

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


def _require_there(device: torch.device) -> None:
    count = torch.get_device_module(device.type).device_count()
    if count == 0:
        raise InputError(f"device '{device}': no GPU is available here; take cpu")
    if (device.index or 0) >= count:
        raise InputError(f"device '{device}': the last GPU here is {device.type}:{count - 1}")
