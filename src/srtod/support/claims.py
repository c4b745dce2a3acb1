"""Which process an output belongs to while it is made, and what processes left that are gone."""

import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import warnings
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
"""Seconds (on Linux ticks) by which the start of a process may be told differently."""
_BYTES = 100  # of a name and of its ending, so that what is added leaves it under 255


@contextmanager
def claimed(path: Path) -> Generator[None]:
    """Keep an output for this process; a claim ends with its process, however that ends.

    Raises:
        InputError: another process has claimed it.
    """
    path = Path(os.path.realpath(path))
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    lock = path.parent / f".{_cut(path.name)}.{digest}.lock"
    handle = None
    with suppress(OSError):  # where no file can be, the work itself says it
        handle = _locked(lock, path)
    try:
        yield
    finally:
        if handle is not None:
            with suppress(OSError):  # of a file of another user's
                lock.unlink()
            os.close(handle)


def scratch_path(path: Path) -> Path:
    """A hidden name beside ``path`` that nothing has yet, with the mark of this process and the suffix.

    What processes of this user, machine and container that are gone left in the folder is removed.
    """
    _sweep(path.parent)
    start = _start(os.getpid())
    own = "" if start is None else f"{_host():x}-{os.getpid():x}-{start:x}-"
    return path.parent / f".{_cut(path.stem)}.{own}{secrets.token_hex(4)}{_cut(path.suffix)}"


def scratch_in(folder: Path) -> list[Path]:
    """What is under way in a folder and below, or was when a kill ended it."""
    return [path for path in folder.rglob(".*") if _MARK.fullmatch(path.name)]


def remove_scratch(folder: Path) -> None:
    """Remove what was under way in a folder and below, whole or not at all, when a kill ended it."""
    for path in scratch_in(folder):
        _remove(path)


def _locked(lock: Path, path: Path) -> int | None:
    if fcntl is None:
        return None
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = _opened(lock)
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
        except OSError as error:
            os.close(handle)
            _warn_unlocked(lock, error)
            lock.unlink(missing_ok=True)
            raise


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError as error:  # of a file of another user's: reading is enough to lock it
        if not lock.exists():
            raise
        try:
            return os.open(lock, os.O_RDONLY)
        except PermissionError:
            _warn_unlocked(lock, error)
            raise


def _warn_unlocked(lock: Path, error: OSError) -> None:
    warnings.warn(
        f"{lock.parent}: outputs cannot be locked there ({error.strerror}); let no other process write them",
        stacklevel=2,
    )


def _cut(name: str) -> str:
    return os.fsencode(name)[:_BYTES].decode(errors="ignore")


@lru_cache(maxsize=1000)
def _sweep(folder: Path) -> None:
    with suppress(OSError):
        for entry in os.scandir(folder):
            made = _MARK.fullmatch(entry.name)
            is_here = made and made["pid"] and int(made["host"], 16) == _host() and _is_own(entry)
            if is_here and not _runs(made):
                _remove(Path(entry.path))


def _is_own(entry: os.DirEntry[str]) -> bool:
    return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _runs(made: re.Match[str]) -> bool:
    try:
        start = _start(int(made["pid"], 16))
    except ProcessLookupError:
        return False
    return start is None or abs(start - int(made["start"], 16)) <= _CLOCK


def _start(process: int) -> int | None:
    """When a process began: on Linux in ticks since the machine did, which no clock moves, else in seconds.

    Returns:
        None where it cannot be told.

    Raises:
        ProcessLookupError: the process is gone.
    """
    if sys.platform == "linux":
        try:
            return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19])
        except OSError:
            with suppress(PermissionError, OverflowError):
                os.kill(process, 0)  # /proc may hide it (hidepid), the kernel does not
            return None
    import psutil  # takes a moment, and not every command writes

    try:
        return int(psutil.Process(process).create_time())
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError from error
    except psutil.Error:
        return None


def _host() -> int:
    """A number of this machine since it started, and of this container: where process numbers are unique."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return zlib.crc32(" ".join(parts).encode())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
