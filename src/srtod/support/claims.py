"""Which process an output belongs to while it is made, and what processes left that are gone."""

import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from srtod.support.errors import InputError

try:
    fcntl: Any = import_module("fcntl")
except ImportError:  # Windows, where outputs are not locked
    fcntl = None

_MARK = re.compile(
    r"\..*\.(?:(?P<host>[0-9a-f]+)-(?P<pid>[0-9a-f]+)-(?P<start>[0-9a-f]+)-)?[0-9a-f]{8}(\.\w+)?"
)
_CLOCK = 2
"""Seconds by which the start of a process may be told differently."""


@contextmanager
def claimed(path: Path) -> Generator[None]:
    """Keep an output for this process; a claim ends with its process, however that ends.

    Raises:
        InputError: another process has claimed it.
    """
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name[:100]}.lock") if path.name else path
    handle = None
    with suppress(OSError):  # where no file can be, the work itself says it
        handle = _locked(lock, path)
    try:
        yield
    finally:
        if handle is not None:
            lock.unlink(missing_ok=True)
            os.close(handle)


def scratch_path(path: Path) -> Path:
    """A hidden name beside ``path`` that nothing has yet, with the mark of this process and the suffix.

    What processes of this machine that are gone left in the folder is removed.
    """
    _sweep(path.parent)
    mark = f"{_host():x}-{os.getpid():x}-{_start(os.getpid()):x}-{secrets.token_hex(4)}"
    return path.parent / f".{path.stem[:100]}.{mark}{path.suffix}"


def remove_scratch(folder: Path) -> None:
    """Remove what was under way in a folder and below, whole or not at all, when a kill ended it."""
    for path in list(folder.rglob(".*")):
        if _MARK.fullmatch(path.name):
            _remove(path)


def _locked(lock: Path, path: Path) -> int | None:
    if fcntl is None:
        return None
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
            os.close(handle)  # its owner has just ended, and removed it
        except BlockingIOError:
            os.close(handle)
            raise InputError(
                f"{path}: another process is writing there; wait for it, or choose another output"
            ) from None
        except OSError:
            os.close(handle)
            raise


@lru_cache(maxsize=1000)
def _sweep(folder: Path) -> None:
    with suppress(OSError):
        for entry in os.scandir(folder):
            made = _MARK.fullmatch(entry.name)
            if made and made["pid"] and int(made["host"], 16) == _host() and not _runs(made):
                _remove(Path(entry.path))


def _runs(made: re.Match[str]) -> bool:
    return abs(_start(int(made["pid"], 16)) - int(made["start"], 16)) <= _CLOCK


def _start(process: int) -> int:
    """When a process began, in seconds; 0 for one that is gone."""
    import psutil  # takes a moment, and not every command writes

    try:
        return int(psutil.Process(process).create_time())
    except psutil.NoSuchProcess:
        return 0


def _host() -> int:
    return zlib.crc32(socket.gethostname().encode())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
