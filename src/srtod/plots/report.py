"""HTML pages: one that tells a whole run, and what every page has in common."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from PIL import Image

from srtod.support.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC_MEANINGS: dict[str, str] = {
    "AP50": "Precision averaged over recall, where a box counts as right if it overlaps the object by half "
    "(IoU 0.5). For objects of a few pixels this is the number to look at first.",
    "AP": "The same averaged over ten overlaps from 0.50 to 0.95. One pixel off already costs an 8-pixel "
    "object a fifth of its overlap, so this number is low for tiny objects.",
    "AP75": "The same at an overlap of 0.75: how exactly the boxes sit.",
    "APvt": "AP of very tiny objects, up to 8 x 8 pixels.",
    "APt": "AP of tiny objects, 8 x 8 to 16 x 16 pixels.",
    "APs": "AP of small objects, 16 x 16 to 32 x 32 pixels.",
    "APm": "AP of all objects larger than 32 x 32 pixels.",
    "AR": "The share of objects that is found at all, averaged over the same ten overlaps, with up to 1500 "
    "boxes an image.",
}
HEADLINE = ("AP50", "AP", "APvt", "APt")


@dataclass(frozen=True)
class Plate:
    """A picture of the report: the picture itself and what the reader should see in it."""

    picture: "Image.Image | Figure"
    caption: str


@dataclass(frozen=True)
class Step:
    """Something to do next: what for, and the command."""

    purpose: str
    command: str


@dataclass(frozen=True)
class Report:
    """What stands on a report's page; what is empty is left out.

    Attributes:
        title: the page's title.
        summary: paragraphs: what was done, in plain words.
        facts: short name -> value: seeds, images, epochs, seconds, versions.
        metrics: name -> fraction of 1; None or a negative value means that there were no such objects.
        curves: losses and metrics over the training, see :func:`srtod.plots.curves.curves_figure`.
        detections: pictures of detections.
        maps: figures of the maps of self-reconstruction.
        steps: what to do next.
    """

    title: str
    summary: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    curves: "Figure | None" = None
    detections: Sequence[Plate] = ()
    maps: Sequence[Plate] = ()
    steps: Sequence[Step] = ()


def write_report(path: Path, report: Report) -> None:
    """Write a report as one HTML file: pictures and style inside, no scripts, all text escaped.

    Raises:
        InputError: ``path`` cannot be written to.
    """
    template = files("srtod.plots").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = render_page(
        template,
        **vars(report),
        meanings={name: text for name, text in METRIC_MEANINGS.items() if name in report.metrics},
        headline=[name for name in HEADLINE if _known(report.metrics.get(name))],
        data_uri=data_uri,
        number=_number,
        known=_known,
    )
    write_text(path, page)


def render_page(template: str, **values: Any) -> str:
    """Return an HTML page that needs nothing beside itself: one style, no scripts, all text escaped.

    Args:
        template: Jinja's, which extends ``page.html.j2`` with a block ``content`` (and ``header``).
        **values: what it shows; ``title`` and the paragraphs ``summary`` among them.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("srtod", "plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(template).render(**values)


def data_uri(picture: "Image.Image | Figure") -> str:
    """Return a picture as a ``data:`` address in WebP; figures are drawn with 150 dots an inch."""
    buffer = io.BytesIO()
    if not isinstance(picture, Image.Image):
        drawn = io.BytesIO()
        picture.savefig(drawn, format="png", dpi=150, facecolor="white")
        picture = Image.open(drawn).convert("RGB")
    picture.save(buffer, format="WEBP", quality=90, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and value >= 0  # false for NaN, too


def _number(value: float | None) -> str:
    return f"{100 * value:.1f}" if _known(value) else "-"
