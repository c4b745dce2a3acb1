"""``srtod data``: synthesize, inspect, convert."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli import synthesize
from srtod.cli.options import Layout, SkipBad
from srtod.defaults import LabelLayout

app = typer.Typer(help="Make, look at and convert data sets.", no_args_is_help=True)
app.command()(synthesize.synthesize)


@app.command()
def inspect(
    data: Annotated[Path, typer.Argument(help="Folder or file in a known layout.", show_default=False)],
    *,
    format: Layout = None,
    split: Annotated[str | None, typer.Option(help="This split alone; else all.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for a picture sheet of each split.", show_default=False)
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the numbers and all faults there.", show_default=False)
    ] = None,
) -> None:
    """Print statistics and faults of a data set, and draw a picture sheet of it.

    Every image is decoded. Exit code 0: no faults; 2: faults were found (each is listed with its file, image
    and annotation), or the data set cannot be read at all. Of VisDrone, AI-TOD and DroneSwarms it also says
    whether the copy has the published numbers of images and objects.
    """
    from rich.console import Console

    from srtod.data.inspection import inspect_splits, print_inspection
    from srtod.plots.sheet import write_sheets
    from srtod.support.files import write_json

    inspection = inspect_splits(data, format=format, split=split, progress=True)
    print_inspection(inspection, Console())
    if output is not None:
        for path in write_sheets(inspection.splits, output):
            typer.echo(f"picture sheet: {path}")
    if json is not None:
        write_json(json, inspection.to_json(), indent=2)
    if inspection.faulty:
        raise typer.Exit(2)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Data set in a known layout.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="New or empty folder.", show_default=False)],
    *,
    to: Annotated[LabelLayout, typer.Option(help="Layout to write.", show_default=False)],
    format: Layout = None,
    split: Annotated[str | None, typer.Option(help="This split alone; else all.", show_default=False)] = None,
    link: Annotated[
        bool, typer.Option("--link/--copy", help="Hard-link the image files instead of copying them.")
    ] = False,
    skip_bad: SkipBad = False,
) -> None:
    """Write a data set in another layout, whole or not at all, and list what that layout cannot hold."""
    from srtod.data.conversion import convert as convert_set
    from srtod.data.conversion import describe_conversion

    sets, lost = convert_set(
        source, target, to, format=format, split=split, link=link, skip_bad=skip_bad, progress=True
    )
    for line in describe_conversion(sets, lost, target, to):
        typer.echo(line)
