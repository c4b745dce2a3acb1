"""Where a measured number comes from."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def provenance(device: str = "auto") -> dict[str, Any]:
    """What a result file says of its own making, as plain values for JSON.

    Args:
        device: that was measured: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.

    Returns:
        Command, date, version, commit (None outside a checkout) and the machine.
    """
    on_gpu = device != "cpu" and torch.cuda.is_available()
    return {
        "command": shlex.join([_program(), *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("srtod"),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "gpu": torch.cuda.get_device_name() if on_gpu else None,
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
    }


def _program() -> str:
    program = Path(sys.argv[0])
    return "/".join(program.parts[-2:]) if program.suffix == ".py" else program.name


def _processor() -> str:
    """The processor's name where Linux tells it, else its kind."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _commit() -> str | None:
    """The commit of the checkout that this package belongs to, if it belongs to one."""
    return _git("rev-parse", "HEAD") if _git("ls-files") else None


def _git(*words: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None
