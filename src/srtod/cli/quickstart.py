"""``srtod quickstart``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli import options as opt


def quickstart(
    output: Annotated[Path, typer.Option(help="New folder for data, weights, metrics and report.")] = Path(
        "quickstart"
    ),
    seed: Annotated[int, typer.Option(help="Of the scenes and the training.", min=0)] = 0,
    device: opt.OneGpu = "auto",
    set_: opt.Settings = None,
) -> None:
    """Make scenes, train a small detector, evaluate it and write report.html; minutes on two cores."""
    from rich.console import Console

    from srtod import quickstart as road

    told = road.quickstart(output, seed=seed, device=device, overrides=set_ or ())
    Console(highlight=False).print(
        f"AP50 {told['AP50']:.3f}, AP {told['AP']:.3f} on held-out scenes, "
        f"in {sum(told['seconds'].values()):.0f} s. Open {output / 'report.html'}"
    )
