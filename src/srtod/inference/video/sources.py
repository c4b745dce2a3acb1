"""Which videos and streams to look at, each under a name of its own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from srtod.inference.addresses import is_address, without_secrets
from srtod.inference.inputs import search


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
        return without_secrets(self.location) if is_address(self.location) else self.location


def collect_videos(inputs: Iterable[str | Path]) -> list[Video]:
    """List the videos among files, folders, patterns and addresses, in natural order.

    Raises:
        InputError: an input does not exist, or holds neither images nor videos.
    """
    return video_list(search(inputs).videos)


def video_list(locations: Mapping[str, bool]) -> list[Video]:
    """Give videos names; each location says whether it is a stream that does not end by itself."""
    return [
        Video(location, name, live)
        for (location, live), name in zip(locations.items(), _names(locations), strict=True)
    ]


def _names(locations: Iterable[str]) -> list[str]:
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
    if not is_address(location):
        return Path(location).stem
    address = without_secrets(location, hidden="//").split("://", 1)[1]
    return re.sub(r"[^\w.-]+", "-", address).strip("-.") or "stream"
