"""What all layouts share: names of splits, and image files that may not leave their folder."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from srtod.data.records import AnnotatedSet
from srtod.support.errors import InputError

Splits = Mapping[str, Callable[[], AnnotatedSet]]
"""The splits a reader finds at a path, each with the call that reads it; empty if the layout is another."""

_SYNONYMS = {"validation": "val", "valid": "val", "test-dev": "test", "test_dev": "test"}
_SPLIT = re.compile(
    r"(?<![a-z])(trainval|train|minival|validation|valid|val|test[-_]dev|test-challenge|test)(?![a-z])"
)


def split_name(name: str) -> str:
    """Find the split a file or folder is named after.

    >>> split_name("instances_val2017"), split_name("VisDrone2019-DET-test-dev"), split_name("labels")
    ('val', 'test', '')
    """
    found = _SPLIT.search(name.lower())
    return "" if found is None else _SYNONYMS.get(found[1], found[1])


def is_split_name(name: str) -> bool:
    """Say whether a name is that of a split and nothing more."""
    return _SPLIT.fullmatch(name.lower()) is not None


def name_splits(paths: Iterable[Path], name: Callable[[Path], str]) -> dict[str, Path]:
    """Key files or folders by the split each is named after; those that would share a name, by their own."""
    paths = sorted(paths)
    own = [path.stem if path.is_file() else path.name for path in paths]
    names = [name(path) for path in paths]
    counts = Counter(names)
    names = [name if counts[name] == 1 else other for name, other in zip(names, own, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}-{other}" for path, other in zip(paths, own, strict=True)]
    return dict(zip(names, paths, strict=True))


def read_lines(path: Path) -> list[str]:
    """Read a text file's lines.

    Raises:
        InputError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read ``classes.txt``: one name a line, in label order.

    Raises:
        InputError: the file cannot be read, names nothing or one name twice.
    """
    names = tuple(line.strip() for line in read_lines(path) if line.strip())
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: must name every class once, one a line")
    return names


class ImageFinder:
    """Looks image files up in the folders where a layout may keep them.

    Args:
        folders: searched in this order; those that do not exist are left out.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._real = {folder: os.path.realpath(folder) for folder in self._folders}

    def find(self, file_name: object) -> tuple[str, Path]:
        """Return the name with forward slashes and the file it stands for.

        Raises:
            ValueError: the name leaves the folder (absolute, ``..``, a link to outside) or nothing is there.
                The text says so, ready for a :class:`~srtod.data.records.Fault`.
        """
        if not isinstance(file_name, str) or not file_name:
            raise ValueError(f"file_name must be a text, got {file_name!r}")
        relative = PurePosixPath(file_name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts or PureWindowsPath(file_name).drive:
            raise ValueError(
                f"file_name {file_name!r} leaves the folder, which is refused; use a relative name"
            )
        for folder in self._folders:
            path = folder / relative
            if os.path.isfile(path):  # noqa: PTH113  Path.is_file raises on names that are too long
                self._require_inside(path, folder)
                return str(relative), path
        raise ValueError(f"missing image {file_name!r}; looked in {self._places()}")

    def _require_inside(self, path: Path, folder: Path) -> None:
        real = os.path.realpath(path)
        if not real.startswith(self._real[folder] + os.sep):
            raise ValueError(
                f"image {path.name!r} is a link that leaves the folder, which is refused; copy the file there"
            )

    def _places(self) -> str:
        return ", ".join(map(str, self._folders)) or "no folder: none of those that may hold images exists"
