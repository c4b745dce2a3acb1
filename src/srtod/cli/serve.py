"""``srtod serve``."""

from dataclasses import replace
from typing import Annotated

import typer

from srtod import defaults
from srtod.assets import SHIPPED
from srtod.cli import options as opt


def serve(
    *,
    weights: opt.FinderWeights = SHIPPED,
    trust_weights: opt.TrustWeights = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than loopback let others in, without password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    score_threshold: opt.ScoreThreshold = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "fp32",
    stretch: opt.StretchOption = None,
    max_upload: Annotated[float, typer.Option(help="Largest file, in MB.")] = defaults.UPLOAD_MEGABYTES,
    max_megapixels: Annotated[
        float | None,
        typer.Option(
            help=f"Largest image, in million pixels; default {defaults.MEGAPIXELS:g}, or what memory takes.",
            show_default=False,
        ),
    ] = None,
    queue: Annotated[
        int, typer.Option(help="Requests that may wait; more are answered by 503.")
    ] = defaults.QUEUE,
    timeout: Annotated[float, typer.Option(help="Seconds a request may take.")] = defaults.REQUEST_SECONDS,
) -> None:
    """Serve a page to look at detections and maps, and the same for programs (REST)."""
    from srtod import serve as server
    from srtod.data.depth import parse_stretch
    from srtod.inference import load_finder

    given = {"upload_megabytes": max_upload, "waiting": queue, "seconds": timeout}
    limits = server.Limits(**given, **({} if max_megapixels is None else {"megapixels": max_megapixels}))
    server.require_extra()
    finder = load_finder(
        weights,
        device=device,
        score_threshold=score_threshold,
        precision=precision,
        stretch=parse_stretch(stretch),
        trust_weights=trust_weights,
    )
    if max_megapixels is None:
        limits = replace(limits, megapixels=server.fitting_megapixels(finder))
    server.serve(finder, host=host, port=port, limits=limits)
