"""Files that are written whole or not at all."""

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from srtod.support.claims import claimed, scratch_path
from srtod.support.errors import InputError, first_line


@contextmanager
def atomic_file(path: Path) -> Generator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The temporary name keeps the suffix of ``path``, because writers choose their format by it. What ``path``
    links to is replaced, not the link; into a device or pipe the content is written.

    Raises:
        InputError: ``path`` is a folder, or the place cannot be written to (no permission, full disk, a file
            in the way).
    """
    path, begun = Path(path), False
    if _leads_on(path):
        with tempfile.TemporaryDirectory() as folder:
            (scratch := Path(folder, path.name)).touch()
            yield scratch
            _pass_on(scratch, path)
        return
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    scratch = scratch_path(target.with_name(f"{target.stem}{path.suffix}") if path.is_symlink() else path)
    try:
        _refuse_folder(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch(exist_ok=False)
        begun, mode = True, scratch.stat().st_mode
        yield scratch
        scratch.chmod(mode)  # some writers make a file of their own, which nobody else may read
        with scratch.open("rb+") as written:
            os.fsync(written.fileno())  # else a power cut could leave the new name on an empty file
        scratch.replace(target)
    except OSError as error:
        raise _unwritable(path, error, begun=begun) from error
    finally:
        if begun:
            scratch.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yield a temporary folder beside ``path``; rename it to ``path`` when the block ends well.

    Raises:
        InputError: ``path`` exists and is not an empty folder, is a mount point, or the place cannot be
            written to.
    """
    path, target = Path(path), Path(os.path.realpath(path))  # a link stays, and what it leads to is replaced
    _refuse_used(path)
    if os.path.ismount(target):
        raise InputError(f"{target}: is a mount point, which cannot be replaced; name a new folder in it")
    scratch, begun = scratch_path(target), False
    with claimed(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch.mkdir()
            begun = True
            yield scratch
            if target.is_dir():  # an empty one, which Windows does not replace
                target.rmdir()
            scratch.replace(target)
        except OSError as error:
            raise _unwritable(path, error, begun=begun) from error
        finally:
            if begun:
                shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def growing_folder(path: Path, *, again: bool = False) -> Generator[None]:
    """Make a folder for files that are written as the work goes on, and stay if it ends badly.

    Args:
        path: the folder.
        again: go on in one that has files of ours.

    Raises:
        InputError: ``path`` exists and is not an empty folder, or the place cannot be written to.
    """
    path, begun = Path(path), False
    with claimed(path):
        if not again:
            _refuse_used(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            begun = True
            yield
        except OSError as error:
            raise _unwritable(path, error, begun=begun) from error
        finally:
            if begun and not any(path.iterdir()):
                path.rmdir()


def next_free(path: Path, *, taken: bool = False) -> Path:
    """Return the first of ``path``, ``path-2``, ``path-3`` ... that is not there yet.

    Args:
        path: the first name.
        taken: return the last one that is there, if any is.
    """
    names = (path.with_name(f"{path.name}-{number}") for number in count(2))
    found = [path]
    while found[-1].exists():
        found.append(next(names))
    return found[-2] if taken and len(found) > 1 else found[-1]


def require_writable(path: Path) -> None:
    """Make sure, before the work, that a file can hold its result; leaves nothing behind.

    Raises:
        InputError: as :func:`atomic_file`.
    """
    path = Path(path)
    if _leads_on(path):
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: cannot be written; choose another output")
        return
    try:
        _refuse_folder(path)
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
        probe = scratch_path(nearest / path.name)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error, begun=False) from error


def require_free(path: Path, *, overwrite: bool = False, inputs: Iterable[str | Path | None] = ()) -> None:
    """Make sure, before the work, that a file can hold its result without taking the place of another.

    Args:
        path: the file to be.
        overwrite: one that is there may be replaced.
        inputs: what the work reads; neither that nor what lies in it is ever replaced.

    Raises:
        InputError: the file is there, or as :func:`atomic_file`.
    """
    require_writable(path)
    if not path.exists() or _leads_on(path):
        return
    real = path.resolve()
    if any(given is not None and real.is_relative_to(Path(given).resolve()) for given in inputs):
        raise InputError(
            f"{path}: is an input or lies in one, which is never overwritten; choose another name"
        )
    if not overwrite:
        raise InputError(
            f"{path}: exists; choose another name, or replace it with --overwrite, overwrite=True"
        )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: cannot be written: {first_line(error)}; correct the name in the source"
        ) from error
    with atomic_file(path) as scratch:
        scratch.write_bytes(content)


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Write ``value`` as strict JSON (no NaN), whole or not at all."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise InputError(
            f"{path}: cannot be written: JSON holds no NaN or infinite numbers; correct them in the source"
        ) from error
    write_text(path, text + "\n")


def is_special(path: Path) -> bool:
    """Tell whether something is there that is neither file nor folder: reading it may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def file_size(path: Path) -> int | None:
    """Return the bytes of a file; None where that cannot be told, since whoever reads it says why."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def is_lfs_pointer(start: bytes) -> bool:
    """Tell whether a file that begins like this is what Git leaves in the place of one that LFS holds."""
    return start.startswith(b"version https://git-lfs")


def require_content(path: Path) -> None:
    """Make sure that a file is not what Git leaves in the place of one that LFS holds.

    Raises:
        InputError: it is, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if is_lfs_pointer(start):
        raise InputError(f"{path}: a pointer of Git LFS, not the file itself; fetch it with 'git lfs pull'")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, unreadable, not UTF-8 or not JSON (with line and column).
    """
    from pydantic_core import from_json  # takes a moment, and not every command reads JSON

    if is_special(path := Path(path)):
        raise InputError(f"{path}: a device or pipe; only files are read")
    try:
        with suppress(ValueError):
            return from_json(path.read_bytes())  # the fastest; what it refuses, the next one explains
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{path}: not usable JSON: nested too deeply") from error
    except json.JSONDecodeError as error:
        require_content(path)
        raise InputError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not usable JSON: a number has too many digits") from error


def _leads_on(path: Path) -> bool:
    """Whether what is written to ``path`` goes on: it is a device, a pipe, or open already (/dev/stdout)."""
    is_open = str(path) in ("/dev/stdout", "/dev/stderr") or path.parent.resolve().is_relative_to("/proc")
    return is_special(path) or (is_open and path.exists())


def _pass_on(made: Path, path: Path) -> None:
    try:
        with made.open("rb") as content, path.open("ab") as target:
            shutil.copyfileobj(content, target)
    except OSError as error:
        raise _unwritable(path, error, begun=True) from error


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file, in it or elsewhere")


def _refuse_used(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists and is not an empty folder; choose another name or remove it")


def _unwritable(path: Path, error: OSError, *, begun: bool) -> InputError:
    reason = error.strerror or error
    if error.errno == errno.ENOENT and not begun:  # such as in /proc: the folder is there, yet no file can be
        reason = f"{path.parent} takes no files"
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "free space or choose another output" if is_full else "choose another output"
    return InputError(f"{path}: cannot be written: {reason}; {advice}")
