"""``srtod data synthesize``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli import options as opt


def synthesize(
    output: Annotated[Path, typer.Argument(help="New or empty folder.", show_default=False)],
    *,
    images: Annotated[int, typer.Option(help="Images for training.")] = 100,
    test_images: Annotated[int, typer.Option(help="Images of held-out scenes for tests.")] = 20,
    size: Annotated[str, typer.Option(help="Width and height in pixels.")] = "1920x1080",
    seed: Annotated[int, typer.Option(help="Chooses everything; same seed, same files.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes; one for each processor if left out.", show_default=False)
    ] = None,
    objects_per_image: Annotated[
        float, typer.Option(help="Mean number of drones in an image that shows any.")
    ] = 26.59,
    mean_size: Annotated[float, typer.Option(help="Mean square root of the box area in pixels.")] = 7.9,
    empty: Annotated[float, typer.Option(help="Share of the images that show no drone.")] = 0.0,
    clutter: Annotated[
        float,
        typer.Option(
            help="Share of the distractors over --backgrounds that are drawn (lamps, leaves, insects, "
            "airliners), not birds."
        ),
    ] = 0.0,
    sprites: Annotated[
        Path | None,
        typer.Option(
            help="Folder of drone cut-outs with transparency to put over --backgrounds; those with 'bird' in "
            "the name of the file or of a sub-folder become distractors without a box.",
            show_default=False,
        ),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(help="Folder of photographs without drones; goes with --sprites.", show_default=False),
    ] = None,
    scenery: Annotated[
        list[str] | None,
        typer.Option(
            help="Landscape (city), light (night) or both (city-night) of training images; repeatable.",
            show_default=False,
        ),
    ] = None,
    test_scenery: Annotated[
        list[str] | None,
        typer.Option(help="The same for the test images, which else show other scenery.", show_default=False),
    ] = None,
) -> None:
    """Make images of drone swarms with boxes, in the layout of DroneSwarms (COCO JSON).

    Everything is drawn by procedure, or composed from your cut-outs and photographs. Files are the same for a
    seed whatever the number of workers; the output appears whole or not at all.
    """
    from srtod.swarm import synthesize as make
    from srtod.swarm.synthesis import describe

    given = {"train": scenery, "test": test_scenery}
    made = make(
        output,
        splits={"train": images, "test": test_images},
        size=opt.parse_size(size),
        seed=seed,
        workers=workers,
        sprites=sprites,
        backgrounds=backgrounds,
        objects_per_image=objects_per_image,
        mean_size=mean_size,
        empty=empty,
        clutter=clutter,
        scenery={split: names for split, names in given.items() if names},
        progress=True,
    )
    for line in describe(made):
        typer.echo(line)
