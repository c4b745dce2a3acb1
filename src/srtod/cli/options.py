"""Options that several verbs share, and readers of their values."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from srtod import defaults
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from srtod.inference import Slicing
    from srtod.inference.views import Views

Layout = Annotated[
    str | None,
    typer.Option(
        help="Layout of the data: coco, visdrone, aitod (aitod-v1, aitod-v2), droneswarms, yolo, voc, csv, "
        "cvat, dota or mot; recognised if left out.",
        show_default=False,
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out and list what is damaged, instead of stopping.")
]
HeldOutSplit = Annotated[
    str | None, typer.Option(help="Split to evaluate on; else val or test, if any.", show_default=False)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace result files that are there; inputs never.")
]
Weights = Annotated[
    str,
    typer.Option(
        help="Weights of a detector (.safetensors), a hub id, or drones or thermal, which ship with it."
    ),
]
FinderWeights = Annotated[
    str,
    typer.Option(
        help="Weights of a detector (.safetensors), an exported file (.onnx, .xml; .pt2 with "
        "--trust-weights), a hub id, or drones or thermal, which ship with it; with commas an ensemble."
    ),
]
TrustWeights = Annotated[
    bool,
    typer.Option(
        "--trust-weights", help="Take a .pt2 file, which can run any code: only if you know who made it."
    ),
]
MapWeights = Annotated[
    str,
    typer.Option(
        help="Weights with self-reconstruction (.safetensors), a hub id, or drones, which is shipped."
    ),
]
StretchOption = Annotated[
    str | None,
    typer.Option(
        "--stretch",
        help="Values of images of more than 8 bits that become black and white: LOW,HIGH, percentiles (of "
        "each image), full (range of the type) or auto; default: as trained, else auto.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps.")]
OneGpu = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")]
Precision = Annotated[
    defaults.Precision, typer.Option(help="Of the network's arithmetic; 16 bits are faster on most GPUs.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that go through the network together.")]
ScoreThreshold = Annotated[
    float | None,
    typer.Option(
        help="Keep detections of at least this score; default: as calibrated, else as trained.",
        show_default=False,
    ),
]
PictureScore = Annotated[
    float,
    typer.Option(min=0, max=1, help="Draw detections of at least this score; files of results keep all."),
]
OneSplit = Annotated[str | None, typer.Option(help="This split alone; else all.", show_default=False)]
Annotations = Annotated[
    Path | None,
    typer.Option(help="Ground truth to draw, a data set that has the images.", show_default=False),
]
AnnotationsSplit = Annotated[str | None, typer.Option(help="Split of the annotations.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the recipe, as train.epochs=3; repeatable.",
        show_default=False,
    ),
]

Slice = Annotated[
    int | None,
    typer.Option(help="Look at images in slices of so many pixels a side, as large as they may be."),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        help=f"Part of its side that a slice shares with the next; default {defaults.SLICE_OVERLAP}.",
        show_default=False,
    ),
]
FullImage = Annotated[
    bool, typer.Option("--full-image", help="Look at the whole image, shrunk, beside its slices.")
]
Merge = Annotated[
    defaults.Merge | None,
    typer.Option(help="How slices are merged; default greedy.", show_default=False),
]


MergeClasses = Annotated[
    bool,
    typer.Option("--merge-classes", help="Merge slices whatever the class; each object keeps its best one."),
]


Focus = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Look at the image shrunk, then at this share of its slices, 0 to 1: those with most to see.",
        show_default=False,
    ),
]
FocusBy = Annotated[
    defaults.FocusBy | None,
    typer.Option(
        help=f"What ranks the slices; default {defaults.FOCUS_BY}. mask, difference and both need "
        "self-reconstruction.",
        show_default=False,
    ),
]
Zoom = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=2,
        help="Scale of the second look of --focus. 2: first the image's own pixels, then slices of half the "
        f"side, enlarged; default {defaults.FOCUS_ZOOM}.",
        show_default=False,
    ),
]


Scales = Annotated[
    str,
    typer.Option(
        help="Look at images, or their slices, once at each of these scales, such as 1,1.5, and put together "
        "what is found."
    ),
]
Flips = Annotated[bool, typer.Option("--flips", help="Look at each mirrored left to right, too.")]


_ABOUT_SLICES = ("overlap", "full_image", "merge", "merge_classes", "focus", "focus_by", "zoom")


class RecipeCommand(TyperCommand):
    """A verb whose unknown options are told the key of the recipe that they may mean."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            unknown: Any = error  # of click, whose classes typer keeps to itself
            if hasattr(unknown, "possibilities") and (key := _nearest_key(unknown.option_name)):
                unknown.message += f"; for the recipe's key write --set {key}=VALUE"
            raise


def _nearest_key(option: str) -> str | None:
    from srtod.recipes import Recipe

    keys = {
        inner: f"{outer}.{inner}"
        for outer, section in Recipe.model_fields.items()
        for inner in getattr(section.annotation, "model_fields", {})
    }
    near = difflib.get_close_matches(option.lstrip("-").replace("-", "_"), keys, n=1)
    return keys[near[0]] if near else None


def given_options(context: typer.Context) -> dict[str, Any]:
    """Return the options that the command line names, with their values."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    named = (name for name, source in sources.items() if source is not None and source.name != "DEFAULT")
    return {name: context.params[name] for name in named}


def slicing_of(given: Mapping[str, Any]) -> "Slicing | None":
    """Put the options of slicing together, of those that are given; None without ``--slice``.

    Raises:
        InputError: a value out of range, or one of the others without ``--slice``.
    """
    from srtod.inference.slices import Slicing

    about = {name: given[name] for name in _ABOUT_SLICES if name in given}
    if "focus" not in given and about.keys() & {"focus_by", "zoom"}:
        raise InputError("--focus-by and --zoom are about --focus; add it, such as --focus 0.3")
    if "slice" in given:
        return Slicing(given["slice"], **about)
    if about:
        names = "--overlap, --full-image, --merge, --merge-classes and --focus"
        raise InputError(f"{names} are about slices; add --slice, such as 640")
    return None


def views_of(scales: str, *, flips: bool) -> "Views":
    """Read the scales, numbers between commas.

    Raises:
        InputError: anything else, or a scale out of range.
    """
    from srtod.inference.views import Views

    return Views.of(scales.split(","), flips=flips)


def parse_size(text: str) -> tuple[int, int]:
    """Read ``WIDTHxHEIGHT`` in pixels.

    Raises:
        InputError: anything else, or a side of 0.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text.strip().lower())
    if match is None:
        raise InputError(f"--size {text}: give width and height in pixels, such as 1920x1080")
    return int(match[1]), int(match[2])
