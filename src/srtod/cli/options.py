"""Options that several verbs share, and readers of their values."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srtod.support.errors import InputError

if TYPE_CHECKING:
    from srtod.inference import Slicing

Layout = Annotated[
    str | None,
    typer.Option(
        help="Layout of the data: coco, visdrone, aitod (aitod-v1, aitod-v2), droneswarms, yolo or voc; "
        "recognised if left out.",
        show_default=False,
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out and list what is damaged, instead of stopping.")
]
Weights = Annotated[
    str,
    typer.Option(help="Weights of a detector (.safetensors), a hub id, or drones: those that come along."),
]
FinderWeights = Annotated[
    str,
    typer.Option(
        help="Weights of a detector (.safetensors), an exported file, a hub id, or drones: those that come "
        "along."
    ),
]
MapWeights = Annotated[
    str,
    typer.Option(
        help="Weights with self-reconstruction (.safetensors), a hub id, or drones: those that come along."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that go through the network together.")]

Slice = Annotated[
    int | None,
    typer.Option(help="Look at images in slices of so many pixels a side, as large as they may be."),
]
Overlap = Annotated[
    float | None,
    typer.Option(help="Part of its side that a slice shares with the next; default 0.2.", show_default=False),
]
FullImage = Annotated[
    bool, typer.Option("--full-image", help="Look at the whole image, shrunk, beside its slices.")
]
Merge = Annotated[
    str | None,
    typer.Option(help="How slices are merged: greedy (default) or nms.", show_default=False),
]


def slicing_of(
    side: int | None, *, overlap: float | None, full_image: bool, merge: str | None
) -> "Slicing | None":
    """Put the options of slicing together; None without ``--slice``.

    Raises:
        InputError: a value out of range, or one of the others without ``--slice``.
    """
    from srtod.inference import Slicing

    if side is None:
        if full_image or overlap is not None or merge is not None:
            raise InputError("--overlap, --full-image and --merge are about slices; add --slice, such as 640")
        return None
    given = {"overlap": overlap, "merge": merge}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Slicing(side, full_image=full_image, **options)


def parse_size(text: str, *, option: str = "--size") -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT`` in pixels.

    Raises:
        InputError: anything else, or a side of 0.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.strip().lower())
    if match is None:
        raise InputError(f"{option} {text}: give width and height in pixels, such as 1920x1080")
    return int(match[1]), int(match[2])


def parse_choice(text: str, allowed: tuple[str, ...], *, option: str) -> str:
    """Return ``text`` if it is allowed.

    Raises:
        InputError: it is not; the message lists what is.
    """
    if text not in allowed:
        raise InputError(f"{option} {text}: use {', '.join(allowed[:-1])} or {allowed[-1]}")
    return text
