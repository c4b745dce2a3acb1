"""How much memory this process holds."""

from importlib import import_module
from pathlib import Path

import psutil

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


def forget_peak() -> None:
    """Start :func:`peak_memory` anew, which only Linux can."""
    if _STATUS.exists():
        _STATUS.with_name("clear_refs").write_text("5", encoding="utf-8")
