"""Which videos and streams to look at, each under a name of its own."""

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from srtod.data.images import SUFFIXES as IMAGE_SUFFIXES
from srtod.inference.inputs import natural_key
from srtod.support.errors import InputError

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv".split()  # noqa: SIM905
)
"""Endings of the files taken for videos (in small letters)."""

_STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/]*@")  # passwords may hold an @ of their own
_QUERY = re.compile(r"[?#].*")


@dataclass(frozen=True)
class Video:
    """A video file or a stream.

    Attributes:
        location: path or address.
        name: of its results; no two are the same.
        live: a stream, which ends when someone ends it.
    """

    location: str
    name: str
    live: bool

    def __str__(self) -> str:
        """The location as it may be shown: an address without user name, password and query."""
        return _without_secrets(self.location, hidden="//***@") if self.live else self.location


def collect_videos(inputs: Iterable[str | Path]) -> list[Video]:
    """List the videos among files, folders (with their sub-folders), patterns and addresses of streams.

    Returns:
        The videos in natural order; none if the inputs name no video.

    Raises:
        InputError: some inputs are videos, and some are images or nothing.
    """
    found = {text: _locations(text) for text in map(str, inputs)}
    if not any(videos for videos, _ in found.values()):
        return []
    for text, (videos, has_images) in found.items():
        if has_images:
            raise InputError(f"{text}: images and videos are looked at one after the other; name one kind")
        if not videos:
            raise InputError(f"{text}: no such file or folder, or no video in it")
    locations = list(dict.fromkeys(location for videos, _ in found.values() for location in videos))
    return [
        Video(location, name, bool(_STREAM.match(location)))
        for location, name in zip(locations, _names(locations), strict=True)
    ]


def _locations(text: str) -> tuple[list[str], bool]:
    """Return the videos of an input, and whether it names images."""
    if _STREAM.match(text):
        return [text], False
    path = Path(text)
    if path.is_file():  # what is no video by its ending is taken for an image, whatever it is
        is_video = path.suffix.lower() in SUFFIXES
        return [str(path)] if is_video else [], not is_video
    below = path.rglob("*") if path.is_dir() else map(Path, glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns
    paths = list(below)
    videos = sorted((own for own in paths if _is_file(own, SUFFIXES)), key=natural_key)
    return [str(video) for video in videos], any(_is_file(own, IMAGE_SUFFIXES) for own in paths)


def _is_file(path: Path, suffixes: frozenset[str]) -> bool:
    return path.suffix.lower() in suffixes and path.is_file()


def _names(locations: list[str]) -> list[str]:
    """A name for each: the file's without its ending, or the end of the address; numbered where taken.

    Names that differ by small and large letters alone are one file on some systems.
    """
    names: dict[str, str] = {}
    for location in locations:
        plain = _name(location)
        tried = chain([plain], (f"{plain}-{number}" for number in count(2)))
        name = next(own for own in tried if own.casefold() not in names)
        names[name.casefold()] = name
    return list(names.values())


def _name(location: str) -> str:
    if not _STREAM.match(location):
        return Path(location).stem
    address = _without_secrets(location, hidden="//").split("://", 1)[1]
    return re.sub(r"[^\w.-]+", "-", address).strip("-.") or "stream"


def _without_secrets(address: str, *, hidden: str) -> str:
    return _QUERY.sub("", _PASSWORD.sub(hidden, address))
