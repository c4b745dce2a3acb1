"""How much memory this process holds, and how much is free."""

from importlib import import_module
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")  # of Linux alone


def resident_memory() -> int:
    """Bytes of memory that this process holds now."""
    return psutil.Process().memory_info().rss


def peak_memory() -> int:
    """Bytes that this process held at most: since :func:`forget_peak` on Linux, elsewhere since it began."""
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    return import_module("resource").getrusage(0).ru_maxrss  # macOS tells bytes


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free there."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def forget_peak() -> None:
    """Start :func:`peak_memory` anew, which only Linux can."""
    if _STATUS.exists():
        _STATUS.with_name("clear_refs").write_text("5", encoding="utf-8")
