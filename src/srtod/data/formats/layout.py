"""What all layouts share: names of splits, and image files that may not leave their folder."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from srtod.data.folders import image_files
from srtod.data.records import AnnotatedSet
from srtod.support.errors import InputError
from srtod.support.files import is_lfs_pointer, require_content

Item = TypeVar("Item")

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
        InputError: the file cannot be read, is not UTF-8 or a pointer of Git LFS.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    if is_lfs_pointer(text[:32].encode()):
        require_content(path)
    return text.splitlines()


def read_xml(path: Path) -> ET.Element:
    """Read the root of an XML file.

    Raises:
        InputError: the file cannot be read, is no XML or a pointer of Git LFS.
    """
    try:
        return ET.parse(path).getroot()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ET.ParseError, LookupError, ValueError) as error:  # an encoding that nobody knows, too
        require_content(path)
        raise InputError(f"{path}: not valid XML: {error}") from error


def to_number(text: str | None) -> float:
    """Read a number.

    Raises:
        ValueError: it is none. The text says so, ready for a :class:`~srtod.data.records.Fault`.
    """
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"{text or ''!r} is not a number") from None


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
    """Looks image files up in the folders where a layout may keep them, whoever wrote their names.

    A name that is not there as it stands is looked for by other spellings (capitals, Unicode forms, endings,
    url-encoding), then by its base name. That is taken if only one file in the folders has it and no other
    name asks for it, if the file lies in no other folder than the name says, and in none of another split.
    What is there is found through links: the folder is the user's. No name leads out of the folders.

    Args:
        folders: searched in this order; those that do not exist are left out.
        names: all that will be looked for; what is no text counts for nothing.
        splits: those whose folders a name need not say; any if none of them is named like a split.
    """

    def __init__(
        self, folders: Iterable[Path], names: Iterable[object] = (), splits: Iterable[str] = ()
    ) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._names = {name for name in names if isinstance(name, str)}
        self._splits = {split_name(split) for split in splits} - {""}
        self.elsewhere: list[tuple[str, str]] = []  # names in the file, and those on the disk

    def files(self, lister: Callable[[Path], list[Path]]) -> dict[str, Path]:
        """Image files of the first folder that has any, as ``lister`` lists them, by their names there."""
        for folder in self._folders:
            if paths := lister(folder):
                return {path.relative_to(folder).as_posix(): path for path in paths}
        return {}

    def find(self, file_name: object) -> tuple[str, Path]:
        """Return the name with forward slashes and the file it stands for.

        Raises:
            ValueError: nothing is there. The text says so, ready for a :class:`~srtod.data.records.Fault`.
        """
        if not isinstance(file_name, str) or not file_name:
            raise ValueError(f"file_name must be a text, got {file_name!r}")
        name = own_name(file_name)
        is_clear = not _leads_out(file_name) or self._asked[_plain(name)] < 2
        for folder in self._folders if is_clear else ():
            path = folder / name
            if os.path.isfile(path):  # noqa: PTH113  Path.is_file raises on names that are too long
                return name, path
        found = self._otherwise(file_name)
        if found is None:
            raise ValueError(f"missing image {file_name!r}; looked in {self._places()}")
        self.elsewhere.append((file_name, found[0]))
        return found

    def _otherwise(self, file_name: str) -> tuple[str, Path] | None:
        """The one file that a name stands for if it is spelled in another way."""
        for spelling in _spellings(file_name):
            spelled = self._spelled.get(spelling, ())
            found = {
                os.path.realpath(path): (name, path) for name, path in spelled if self.fits(file_name, name)
            }
            if found:
                is_clear = len(found) == 1 and self._asked[spelling] < 2
                return next(iter(found.values())) if is_clear else None
        return None

    def fits(self, file_name: str, name: str) -> bool:
        """Say whether the folders of a file, by its name on the disk, may be those that a name says."""
        said, own = (PurePosixPath(_plain(one)).parts[-2::-1] for one in (file_name, name))
        if self._splits and {split_name(folder) for folder in set(own) - set(said)} - {"", *self._splits}:
            return False
        return said[: len(own)] == own[: len(said)] or _leads_out(file_name)

    @cached_property
    def _asked(self) -> Counter[str]:
        """How many names may be spelled in a way."""
        return Counter(spelling for name in self._names for spelling in set(_spellings(name)))

    @cached_property
    def _spelled(self) -> Mapping[str, Sequence[tuple[str, Path]]]:
        """The files that a spelling may stand for, each with its name in one of the folders."""
        spelled: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        for folder in self._folders:
            for path in image_files(folder):
                name = path.relative_to(folder).as_posix()
                for spelling in set(_spellings(name)):
                    spelled[spelling].append((name, path))
        return spelled

    def _places(self) -> str:
        return ", ".join(map(str, self._folders)) or "no folder: none of those that may hold images exists"


def grouped(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """Return items by what several may have in common, such as the stem of a file."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def several(names: Iterable[object]) -> str:
    """Say that a stem is that of several images, so that none is guessed."""
    return f"several images are called so ({', '.join(sorted(map(str, names))[:3])}); rename all but one"


def splits_of_files(files: Sequence[Path]) -> dict[str, Path]:
    """Annotation files by split, which their names or else folders tell; a single one needs none."""
    return name_splits(files, split_of) if len(files) > 1 else {split_of(file): file for file in files}


def split_of(file: Path) -> str:
    """The split that the name of a file tells, or else that of its folder; empty where neither does."""
    return split_name(file.stem) or split_name(file.parent.name)


def own_name(file_name: str) -> str:
    """Return a name relative to its folder, with forward slashes: the base name if it leads elsewhere."""
    posix = PurePosixPath(file_name.replace("\\", "/"))
    return posix.name if _leads_out(file_name) else str(posix)


def _leads_out(file_name: str) -> bool:
    posix = PurePosixPath(file_name.replace("\\", "/"))
    is_far = posix.is_absolute() or PureWindowsPath(file_name).drive or "://" in file_name
    return bool(is_far) or ".." in posix.parts


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name.replace("\\", "/"))).casefold()


def _spellings(name: str) -> Iterator[str]:
    """What a name may be spelled like, the nearest first: as it is, its base name, each without ending."""
    plain = _plain(name)
    base = plain.rpartition("/")[2].rpartition("=")[2]
    for one in dict.fromkeys((plain, base)):
        yield one
        yield "stem:" + one.rpartition(".")[0]
