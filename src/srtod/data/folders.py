"""What lies in a folder: images and videos, and what is left out, by reason; the lister of all verbs."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from srtod.support.errors import InputError
from srtod.support.files import is_special

Kind = Literal["image", "video"]

_IMAGES = """
    .jpg .jpeg .jpe .jfif .mpo .png .apng .bmp .dib .gif .tif .tiff .webp .avif .jp2 .j2k .pbm .pgm .ppm .pnm
"""
_VIDEOS = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv"
_RAW = ".dng .cr2 .cr3 .nef .nrw .arw .sr2 .srw .orf .rw2 .raf .pef .raw .iiq .3fr .x3f"
_BESIDE = """
    .txt .json .jsonl .xml .csv .yaml .yml .md .html .pdf .srt .log .db .ini .cache .py .ipynb .zip .gz .tar
    .npz .pt .pth .ckpt .onnx .safetensors .xlsx .docx .bin .tfw .aux .prj .mat .pkl .parquet
"""

IMAGES = frozenset(_IMAGES.split())
"""Endings of image files (in small letters)."""
VIDEOS = frozenset(_VIDEOS.split())
"""Endings of video files."""
UNREADABLE: Mapping[str, str] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC image"),
    **dict.fromkeys(_RAW.split(), "raw photograph"),
    **dict.fromkeys((".jxl", ".psd", ".exr", ".svg", ".dcm", ".fits", ".npy"), "image of another kind"),
    **dict.fromkeys((".lrf", ".lrv", ".thm"), "preview of a camera"),
}
"""Images that are not read, by their endings."""
_OTHERS = frozenset(_BESIDE.split())
"""What else often lies beside images; files of further endings are known by how they begin."""

HIDDEN, SYSTEM, OWN, LOST = "hidden file", "leftover of another program", "result of srtod", "broken link"
_SYSTEM = re.compile(
    r"__MACOSX|\.ipynb_checkpoints|\._.*|@eaDir|\$RECYCLE\.BIN|System Volume Information|thumbnails?|thumbs",
    re.IGNORECASE | re.DOTALL,
)
_RESULTS = ({"job.json"}, {"explain.png", "maps.npz"})
"""Files by which the folders of ``predict`` and ``explain`` are known."""
_IMAGE_STARTS = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM.{4}\0{4}|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|.{4}ftypavi[fs]|\0\0\0\x0cjP|"
    rb"\xff\x4f\xff\x51|P[1-6]\s",
    re.DOTALL,
)
_HEIC = re.compile(rb".{4}ftyp(?:hei|hev|mif1|msf1)", re.DOTALL)
_VIDEO_STARTS = re.compile(
    rb".{4}(?:ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|OggS|\0\0\x01[\xb3\xba]|"
    rb"\x30\x26\xb2\x75|G.{187}G|.{4}G.{191}G",
    re.DOTALL,
)
BEGINNING = 200
"""Bytes by which a kind is known."""


@dataclass
class Listing:
    """Files by what they are.

    Attributes:
        images: image files.
        videos: video files.
        left_out: by reason, the images and videos that are not used.
    """

    images: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def notes(self) -> list[str]:
        """What is left out, a line a reason."""
        return [
            f"left out: {len(files)} x {reason}: {', '.join(path.name for path in files[:3])}"
            f"{' ...' if len(files) > 3 else ''}{_REMEDIES.get(reason, '')}"
            for reason, files in self.left_out.items()
        ]

    def add(self, path: Path, reason: str = "") -> None:
        """Put a file where it belongs; with a reason it is left out."""
        ending = path.suffix.lower()
        kind = UNREADABLE.get(ending) or kind_of(path)
        if kind is None:
            return
        if not reason and not path.is_file():
            reason = LOST
        if reason or ending in UNREADABLE:
            self.left_out[reason or UNREADABLE[ending]].append(path)
        else:
            (self.images if kind == "image" else self.videos).append(path)

    def extend(self, other: "Listing") -> None:
        """Take over what another listing has."""
        self.images += other.images
        self.videos += other.videos
        for reason, files in other.left_out.items():
            self.left_out[reason] += files


_REMEDIES = {
    "HEIC image": "; save them as JPEG or PNG",
    "raw photograph": "; develop them to JPEG, PNG or TIFF",
    "image of another kind": "; save them as JPEG, PNG or TIFF",
    OWN: "; name their folder to use them",
}


def list_folder(folder: Path) -> Listing:
    """List a folder and its sub-folders, links followed, in the order of the names.

    Hidden files, what other programs leave (``__MACOSX``, ``.ipynb_checkpoints``, thumbnails), results of
    srtod below the folder, and kinds of images that are not read are left out and counted.

    Raises:
        InputError: a folder cannot be read.
    """
    listing = Listing()
    for path, reason in sorted(_walk(Path(folder))):
        listing.add(path, reason)
    return listing


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that counts numbers as numbers: ``2.jpg`` before ``10.jpg``."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def image_files(folder: Path) -> list[Path]:
    """List the image files under ``folder`` and its sub-folders, in the order of their names."""
    return list_folder(folder).images


def files_like(folder: Path, *patterns: str) -> list[Path]:
    """List what matches a pattern below a folder in small or capital letters, sorted.

    Left out is what :func:`list_folder` leaves out, and what is neither file nor folder.
    """
    either = (re.sub("[a-zA-Z]", lambda at: f"[{at[0].lower()}{at[0].upper()}]", one) for one in patterns)
    found = {path for pattern in either for path in Path(folder).glob(pattern)}
    return sorted(path for path in found if not junk(path.relative_to(folder).parts) and not is_special(path))


def kind_of(path: Path) -> Kind | None:
    """Tell whether a file is an image or a video: by its ending, else by how it begins."""
    ending = path.suffix.lower()
    if ending in IMAGES:
        return "image"
    if ending in VIDEOS:
        return "video"
    return None if ending in _OTHERS else kind_of_content(beginning(path))


def beginning(path: Path) -> bytes:
    """The first bytes of a file; none of what is no file or cannot be read."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(BEGINNING)
    except OSError:
        pass
    return b""


def kind_of_content(start: bytes) -> Kind | None:
    """Tell what a file is by its first bytes; an image whose kind is not read is an image, too."""
    if _IMAGE_STARTS.match(start) or _HEIC.match(start):
        return "image"
    return "video" if _VIDEO_STARTS.match(start) else None


def unreadable_kind(name: str, start: bytes) -> str:
    """What kind of image it is that cannot be read, as far as it is known; else an empty text."""
    return UNREADABLE[".heic"] if _HEIC.match(start) else UNREADABLE.get(Path(name).suffix.lower(), "")


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below a folder with the reason to leave it out, or an empty text."""
    reasons = {os.fspath(folder): ""}
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        reason = reasons[place]
        if place != os.fspath(folder) and any(marks <= set(names) for marks in _RESULTS):
            reason = reason or OWN
        for name in names:
            yield Path(place, name), reason or junk([name])
        for name in tuple(folders):
            below = os.path.join(place, name)  # noqa: PTH118 - the key that os.walk gives
            if (real := os.path.realpath(below)) in seen:
                folders.remove(name)
            seen.add(real)
            reasons[below] = reason or junk([name])


def junk(parts: Iterable[str]) -> str:
    """Why a file or folder of this name is left out."""
    for part in parts:
        if _SYSTEM.fullmatch(part):
            return SYSTEM
        if part.startswith("."):
            return HIDDEN
    return ""


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error
