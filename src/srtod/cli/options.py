"""Options that several verbs share, and readers of their values."""

import re
from typing import Annotated

import typer

from srtod.errors import InputError

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
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that go through the network together.")]


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
