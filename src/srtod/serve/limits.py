"""How much one server takes on."""

import math
from dataclasses import dataclass, fields
from pathlib import PurePosixPath

from srtod import defaults
from srtod.inference.memory import fitting_pixels
from srtod.support.errors import InputError
from srtod.types import Finder

MEGA = 1_000_000
MULTIPART_BYTES = 8_192
"""What a form may add to the bytes of its file: boundaries, headers, the name."""
_ARRIVING = 4
"""Uploads that may arrive while the queue is full; by then there may be room."""
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Limits:
    """What is refused, and how long anything may take.

    Attributes:
        upload_megabytes: largest file.
        megapixels: largest image, told from its header before it is unpacked; with its sides filled up to
            multiples of 32, it may have twice as many pixels.
        waiting: requests that may wait while one is worked on; a further one is answered by 503.
        seconds: that a request may take from its last byte to its answer (504 after that).
        upload_seconds: that the bytes of a request may take to arrive (408 after that).
        decode_seconds: that decoding an image may take (422 after that).

    Raises:
        InputError: one of them is not positive and finite; ``waiting`` may be 0.
    """

    upload_megabytes: float = defaults.UPLOAD_MEGABYTES
    megapixels: float = defaults.MEGAPIXELS
    waiting: int = defaults.QUEUE
    seconds: float = defaults.REQUEST_SECONDS
    upload_seconds: float = 60.0
    decode_seconds: float = 15.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            positive = value > 0 or (field.name == "waiting" and value == 0)
            if not (positive and math.isfinite(value)):
                raise InputError(f"{field.name.replace('_', ' ')} {value}: must be more than 0, and finite")

    @property
    def at_once(self) -> int:
        """Uploads held at once, those included whose bytes are still to arrive."""
        return self.waiting + 1 + _ARRIVING

    @property
    def body_bytes(self) -> int:
        """Largest body of a request, the form around the file included."""
        return self.upload_bytes + MULTIPART_BYTES

    @property
    def upload_bytes(self) -> int:
        """Largest file in bytes."""
        return int(self.upload_megabytes * MEGA)

    @property
    def pixels(self) -> int:
        """Largest image in pixels."""
        return int(self.megapixels * MEGA)


def fitting_megapixels(finder: Finder) -> float:
    """Return how many million pixels an image may have by default: what the free memory of the device takes.

    Never more than :data:`srtod.defaults.MEGAPIXELS`.
    """
    return min(defaults.MEGAPIXELS, max(round(fitting_pixels(finder) / MEGA, 1), 0.1))


def clean_name(name: str | None) -> str:
    """Return the last part of a file name, without folders and characters that cannot be printed."""
    last = PurePosixPath((name or "").replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_NAME] or "upload"
