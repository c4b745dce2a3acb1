"""How much memory this process holds, and how much is free."""

from importlib import import_module
from pathlib import Path

import psutil
import torch

_STATUS = Path("/proc/self/status")  # of Linux alone
_CGROUP = Path("/sys/fs/cgroup")  # as a container sees its own


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
    """Return the bytes that are free there, with those that torch keeps of a GPU without need."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return min([psutil.virtual_memory().available, *_left_to_the_container()])


def _left_to_the_container() -> list[int]:
    """Bytes up to the limit of this process's control group (version 2); none without a limit."""
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="utf-8"))
        used = int((_CGROUP / "memory.current").read_text(encoding="utf-8"))
        lines = (_CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, StopIteration):  # "max", or no such files
        return []
    return [max(limit - used + cached, 0)]


def forget_peak() -> None:
    """Start :func:`peak_memory` anew, which only Linux can."""
    if _STATUS.exists():
        _STATUS.with_name("clear_refs").write_text("5", encoding="utf-8")
