"""``srtod reproduce``: the paper's tables, and any recipe with and without self-reconstruction."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srtod import defaults
from srtod.assets import SHIPPED
from srtod.cli import options as opt

if TYPE_CHECKING:
    from srtod.reproduce.plan import Options

TABLES = {
    "table-1": "DroneSwarms: nine detectors, five of them with SR-TOD.",
    "table-2": "VisDrone2019: four detectors with and without SR-TOD.",
    "table-3": "AI-TOD: four detectors with and without SR-TOD.",
    "table-4": "Ablation: reconstruction head alone, and with enhancement.",
    "table-5": "Ablation: no threshold, a fixed one, a learnable one.",
    "table-6": "Ablation: how the mask enhances the features.",
    "table-7": "Ablation: pixel or high-frequency difference.",
}

FIGURES = {
    "figure-1": "A tiny object in P2, reconstruction and difference.",
    "figure-3": "The difference map beside the one of high frequencies.",
    "figure-4": "P2 before and after its enhancement by the difference map.",
}

app = typer.Typer(
    help="Train, evaluate and set the paper's numbers beside ours; draw its figures.", no_args_is_help=True
)

Data = Annotated[Path, typer.Option(help="Data set in a known layout, with a held-out split.")]
Output = Annotated[Path, typer.Option(help="Folder for runs and tables; the same again goes on.")]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        help="Rows of the table by key, separated by commas; else all. An unknown one lists them.",
        show_default=False,
    ),
]
Seeds = Annotated[
    int, typer.Option(min=1, help="Trainings of each row; 1 tells nothing of chance, 5 are better than 3.")
]
Budget = Annotated[
    float | None,
    typer.Option(help="Minutes for all: as many epochs as fit, the same for every row.", show_default=False),
]
Epochs = Annotated[
    int | None, typer.Option(help="Epochs of every row; else the recipe's.", show_default=False)
]
Fraction = Annotated[
    float | None, typer.Option(help="Share of the training images; else all.", show_default=False)
]
Scale = Annotated[
    defaults.Scale | None,
    typer.Option(
        help="full: as published; light: a small backbone, for a CPU. Else full with a GPU, light without.",
        show_default=False,
    ),
]
TrainingPrecision = Annotated[
    defaults.Precision | None,
    typer.Option(help="Of the networks' arithmetic; else the recipe's.", show_default=False),
]
TrainingBatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images of a training step; else the recipe's.", show_default=False)
]


def _table(
    context: typer.Context,
    *,
    data: Data,
    output: Output,
    rows: Rows = None,
    seeds: Seeds = 1,
    budget: Budget = None,
    epochs: Epochs = None,
    fraction: Fraction = None,
    matched: Annotated[
        bool,
        typer.Option("--matched", help="Base rows take all settings of the rows with SR-TOD but SR-TOD."),
    ] = False,
    scale: Scale = None,
    set_: opt.Settings = None,
    split: opt.HeldOutSplit = None,
    format: opt.Layout = None,
    skip_bad: opt.SkipBad = False,
    device: opt.OneGpu = "auto",
    precision: TrainingPrecision = None,
    batch_size: TrainingBatchSize = None,
) -> None:
    from srtod.reproduce.compare import reproduce_table

    name, options = str(context.info_name), _options(context)
    keys = [key.strip() for given in rows or () for key in given.split(",")]
    typer.echo(reproduce_table(name, data, output, rows=keys, is_matched=matched, options=options))


for _name, _about in TABLES.items():
    app.command(_name, help=_about)(_table)


@app.command()
def matched(
    context: typer.Context,
    *,
    recipe: Annotated[str, typer.Option(help="A recipe with self-reconstruction: its name or a YAML file.")],
    data: Data,
    output: Output,
    seeds: Seeds = 1,
    budget: Budget = None,
    epochs: Epochs = None,
    fraction: Fraction = None,
    scale: Scale = "full",
    set_: opt.Settings = None,
    split: opt.HeldOutSplit = None,
    format: opt.Layout = None,
    skip_bad: opt.SkipBad = False,
    device: opt.OneGpu = "auto",
    precision: TrainingPrecision = None,
    batch_size: TrainingBatchSize = None,
) -> None:
    """Any recipe with and without self-reconstruction, all else equal."""
    from srtod.reproduce.compare import reproduce_matched

    typer.echo(reproduce_matched(recipe, data, output, options=_options(context)))


def _figure(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(help="Images; each is a row.", metavar="IMAGE")],
    *,
    weights: opt.MapWeights = SHIPPED,
    output: Annotated[Path, typer.Option(help="A .png, .pdf or .svg file, or a folder.")],
    annotations: opt.Annotations = None,
    split: opt.AnnotationsSplit = None,
    skip_bad: opt.SkipBad = False,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="Enlarge this place, in pixels; once for each image."),
    ] = None,
    picture_score: opt.PictureScore = defaults.PICTURE_SCORE,
    device: opt.Device = "auto",
    precision: opt.Precision = "fp32",
    overwrite: opt.Overwrite = False,
) -> None:
    from srtod.inference import collect_images, load_detector, with_truth
    from srtod.reproduce.figures import draw_figure, read_place

    places = [read_place(text) for text in at or ()]
    files = collect_images(images)
    if annotations is not None:
        files = with_truth(files, annotations, split, skip_bad=skip_bad)
    detector = load_detector(weights, device=device, precision=precision)
    name = str(context.info_name)
    typer.echo(
        draw_figure(name, detector, files, output, at=places, min_score=picture_score, overwrite=overwrite)
    )


for _name, _about in FIGURES.items():
    app.command(_name, help=_about)(_figure)


def _options(context: typer.Context) -> "Options":
    """Take the options that both kinds of comparison share from what was given to the verb."""
    from srtod.reproduce.plan import Options

    given: dict[str, Any] = dict(context.params)
    shorts = [f"train.{name}={given[name]}" for name in ("precision", "batch_size") if given[name]]
    given["changes"] = (*shorts, *(given["set_"] or ()))
    return Options(**{field.name: given[field.name] for field in fields(Options)})
