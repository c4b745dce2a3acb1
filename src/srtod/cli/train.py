"""``srtod train``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli import options as opt


def train(
    data: Annotated[Path, typer.Argument(help="Folder or file in a known layout.")],
    *,
    output: Annotated[Path, typer.Option(help="Folder for everything the run leaves behind.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Shipped recipe or YAML file; else the run's own (--resume), or what the data ask for.",
            show_default=False,
        ),
    ] = None,
    set_: opt.Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Short for --set train.epochs=N.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Short for --set train.batch_size=N.")] = None,
    lr: Annotated[float | None, typer.Option(help="Short for --set train.lr=X.")] = None,
    crop: Annotated[int | None, typer.Option(help="Short for --set data.crop=PIXELS.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    format: opt.Layout = None,
    skip_bad: opt.SkipBad = False,
    init: Annotated[
        str | None, typer.Option(help="Weights to start from: a file, a hub id, or drones.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of DATA to learn from; else train, or trainval.")
    ] = None,
    val_data: Annotated[
        Path | None, typer.Option(help="Data to validate on; else the split val or test of DATA.")
    ] = None,
    val_split: Annotated[str | None, typer.Option(help="Split to validate on; else val, or test.")] = None,
    device: opt.OneGpu = "auto",
) -> None:
    """Train a detector; in N processes: torchrun --nproc-per-node N -m srtod.cli.main train ..."""
    from srtod.engine.launch import train_from_paths
    from srtod.engine.sets import Source

    short = {"train.epochs": epochs, "train.batch_size": batch_size, "train.lr": lr, "data.crop": crop}
    train_from_paths(
        Source(data, split, format, skip_bad),
        output,
        recipe=recipe,
        overrides=[*(set_ or ()), *(f"{key}={value}" for key, value in short.items() if value is not None)],
        resume=resume,
        init=init,
        validation=(val_data, val_split),
        device=device,
    )
