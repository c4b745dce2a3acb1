"""A folder that grows with the work: each finished piece is a line of its log, so that none is lost."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from srtod.support.claims import remove_scratch
from srtod.support.errors import InputError, SrtodError
from srtod.support.files import growing_folder, read_json, write_json
from srtod.support.progress import say

JOB = "job.json"
"""What was asked, and, once the job is finished, what came of it."""
SYNC = 1.0
"""Seconds of work that a power cut may cost."""


class Lines:
    """A file of JSON lines that outlives a kill after any of them; what it left of a last one is cut off.

    The file is made with its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO | None = None
        self._synced = 0.0

    def add(self, line: dict[str, Any]) -> int:
        """Append a line; return where it starts."""
        if self._stream is None:
            self.path.parent.mkdir(exist_ok=True)
            self._stream = self.path.open("ab")
            self._stream.truncate(sum(map(len, whole_lines(self.path))))
        start = self._stream.seek(0, os.SEEK_END)
        self._stream.write((json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n").encode())
        self._stream.flush()
        if time.monotonic() - self._synced > SYNC:
            os.fsync(self._stream.fileno())
            self._synced = time.monotonic()
        return start

    def close(self) -> None:
        """Bring what was written to the disk."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._stream = None


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, if there is one, but what a kill left of a last one."""
    if path.exists():
        with path.open("rb") as stream:
            yield from (line for line in stream if line.endswith(b"\n"))


class JobLog:
    """What is finished of a job in its output folder; ``finished`` is what came of it, once that is all."""

    def __init__(self, folder: Path, finished: dict[str, Any] | None) -> None:
        self.folder, self.finished = folder, finished
        self._places: dict[Hashable, tuple[Path, int]] = {}
        self._failed: set[Hashable] = set()
        self._lines = Lines(folder / "log" / "done.jsonl")

    @property
    def done(self) -> int:
        """How many pieces are finished."""
        return len(self._places) - len(self._failed)

    @property
    def anything(self) -> bool:
        """Whether there is something to keep."""
        own = {JOB, "log"}
        return bool(self.done) or any(entry.name not in own for entry in self.folder.iterdir())

    def read(self) -> None:
        """Learn what is in the log."""
        self._places.clear()
        self._failed.clear()
        for path in sorted((self.folder / "log").glob("*.jsonl")):
            start = 0
            for line in whole_lines(path):
                self._note(path, start, json.loads(line))
                start += len(line)

    def add(self, line: dict[str, Any]) -> None:
        """Log a piece of which all files are written: its ``key``, and what came of it or its ``error``."""
        self._note(self._lines.path, self._lines.add(line), line)

    def missing(self, keys: Iterable[Hashable], *, skip_bad: bool) -> list[Any]:
        """Return the pieces that are not done: without ``skip_bad`` those that failed, too.

        What was wrong may be over, such as a network that was down.
        """
        return [key for key in keys if key not in self._places or (key in self._failed and not skip_bad)]

    def forget_changed(self, sizes: Mapping[Any, int | None]) -> None:
        """Take pieces for missing whose files have another size, in bytes, than when they were done."""
        for line in list(self.lines(sizes)):
            key = line["key"]
            if line.get("bytes", sizes[key]) != sizes[key]:
                del self._places[key]

    def lines(self, keys: Iterable[Hashable]) -> Generator[dict[str, Any]]:
        """Yield the lines of the pieces that are in the log, in the order of ``keys``."""
        for key in keys:
            if key in self._places:
                path, start = self._places[key]
                with path.open("rb") as stream:
                    stream.seek(start)
                    yield json.loads(stream.readline())

    def close(self) -> None:
        """Bring what is logged to the disk."""
        self._lines.close()

    def finish(self, came_of_it: dict[str, Any]) -> None:
        """Keep what came of the whole job; its log is needed no more, unless pieces failed."""
        if self._failed:
            return
        write_json(self.folder / JOB, read_json(self.folder / JOB) | {"finished": came_of_it}, indent=2)
        shutil.rmtree(self.folder / "log", ignore_errors=True)

    def _note(self, path: Path, start: int, line: dict[str, Any]) -> None:
        key = line["key"]
        if "error" not in line:
            self._failed.discard(key)
        elif key in self._places and key not in self._failed:
            return
        else:
            self._failed.add(key)
        self._places[key] = path, start


@contextmanager
def job_folder(output: Path, asked: dict[str, Any], *, resume: bool) -> Generator[JobLog]:
    """Begin a job in a new folder, or go on with it; what is finished stays however it ends.

    Args:
        output: the folder; without ``resume`` it does not exist yet or is empty.
        asked: what decides the results, as plain values; a job goes on with the same alone.
        resume: go on with what is in the folder.

    Raises:
        InputError: the folder holds something else, or a job that was asked for something else.
    """
    path, begun = output / JOB, None
    if path.exists():
        if not resume:
            raise InputError(f"{output}: holds a job; choose another name, or add --resume to go on with it")
        begun = read_json(path)
        before = begun.get("asked", {})
        for name in sorted({*before, *asked}):
            if before.get(name) != asked.get(name):
                raise InputError(f"{path}: begun with other {name}; give the same, or another --output")
    elif resume and output.exists() and any(output.iterdir()):
        raise InputError(f"{output}: not empty, and no {JOB} in it to go on with; choose another --output")
    with growing_folder(output, again=begun is not None):
        if begun is not None:
            remove_scratch(output)
        else:
            write_json(path, {"asked": asked}, indent=2)
        log = JobLog(output, None if begun is None else begun.get("finished"))
        log.read()
        try:
            yield log
        finally:
            log.close()
            if not log.anything:
                shutil.rmtree(output / "log", ignore_errors=True)
                path.unlink(missing_ok=True)


@contextmanager
def keeping(log: JobLog, total: int, what: str, write_results: Callable[[], object]) -> Generator[None]:
    """Whatever ends the work in the block: write the results of what is finished, and say where they are."""
    try:
        yield
    except BaseException as error:
        if not log.anything:
            raise
        with suppress(InputError):  # such as on a full disk; what is logged stays
            if log.done:
                write_results()
        where = f"{log.done} of {total} {what} are finished in {log.folder}; --resume goes on"
        if isinstance(error, SrtodError):
            raise type(error)(f"{error}; {where}") from error
        say(f"stopped: {where}")
        raise


def digest(path: Path) -> str:
    """Tell a file of weights from others by its content; OpenVINO's are in a ``.bin`` beside the ``.xml``."""
    with path.open("rb") as stream:
        own = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    return f"{own} {digest(path.with_suffix('.bin'))}" if path.suffix.lower() == ".xml" else own


def digest_of(values: Iterable[Any]) -> str:
    """Tell lists of plain values from others."""
    own = hashlib.sha256()
    for value in values:
        own.update(json.dumps(value, default=str).encode() + b"\n")
    return own.hexdigest()[:16]
