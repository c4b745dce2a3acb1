"""Which videos and streams to look at, each under a name of its own."""

import glob
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from srtod.data.images import image_files
from srtod.errors import InputError
from srtod.inference.inputs import natural_key

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv".split()  # noqa: SIM905
)
"""Endings of the files taken for videos (in small letters)."""

_STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/@]*@")


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
        """The location as it may be shown: without user name and password."""
        return _PASSWORD.sub("//***@", self.location)


def collect_videos(inputs: Iterable[str | Path]) -> list[Video]:
    """List the videos among files, folders (with their sub-folders), patterns and addresses of streams.

    Returns:
        The videos in natural order; none if the inputs name no video.

    Raises:
        InputError: some inputs are videos, and some are not.
    """
    texts = [str(text) for text in inputs]
    found = {text: _locations(text) for text in texts}
    if not any(found.values()):
        return []
    for text, locations in found.items():
        if not locations or (Path(text).is_dir() and image_files(Path(text))):
            raise InputError(f"{text}: images and videos are looked at one after the other; name one kind")
    locations = list(dict.fromkeys(location for text in texts for location in found[text]))
    return [
        Video(location, name, bool(_STREAM.match(location)))
        for location, name in zip(locations, _names(locations), strict=True)
    ]


def _locations(text: str) -> list[str]:
    if _STREAM.match(text):
        return [text]
    path = Path(text)
    if path.is_dir():
        paths = path.rglob("*")
    elif path.exists():
        paths = iter([path])
    else:
        paths = map(Path, glob.glob(text, recursive=True))  # noqa: PTH207 - absolute patterns
    videos = (found for found in paths if found.suffix.lower() in SUFFIXES and found.is_file())
    return [str(video) for video in sorted(videos, key=natural_key)]


def _names(locations: list[str]) -> list[str]:
    """A name for each: the file's without its ending, or the end of the address; numbered where two agree."""
    plain = [_name(location) for location in locations]
    often = Counter(plain)
    return [f"{name}-{number}" if often[name] > 1 else name for number, name in enumerate(plain, start=1)]


def _name(location: str) -> str:
    if not _STREAM.match(location):
        return Path(location).stem
    address = _PASSWORD.sub("//", location).split("://", 1)[1].split("?")[0]
    return re.sub(r"[^\w.-]+", "-", address).strip("-.") or "stream"
