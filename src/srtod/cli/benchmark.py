"""``srtod benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli import options as opt


def benchmark(
    systems: Annotated[
        list[str] | None, typer.Argument(help="Systems; default: all.", metavar="SYSTEM")
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the images in pixels.")] = "1920x1080",
    runs: Annotated[int, typer.Option(help="Timed passes of every detector.", min=1)] = 5,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", "--batch", help="Images that go through the network together.", min=1),
    ] = 1,
    backbone: Annotated[str, typer.Option(help="timm backbone.")] = "resnet50",
    device: opt.OneGpu = "auto",
    precision: opt.Precision = "fp32",
    fuse: Annotated[bool, typer.Option(help="Fold BatchNorm into convolutions.")] = True,
    channels_last: Annotated[
        bool | None, typer.Option(help="Channels of a cell together in memory; default: where it is faster.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile pyramid and reconstruction.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: torch's choice.", min=1)] = None,
    json: Annotated[Path | None, typer.Option(help="Write the table as JSON, too.", metavar="FILE")] = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """What each system costs plain, with the paper's head and with the lite head, in one run.

    Parameters, operations, time and memory of detectors with random weights on an image of noise.
    """
    from rich.console import Console

    from srtod.detectors.systems import SYSTEMS
    from srtod.inference.benchmark import Setting, cost_table, measure, report, steps
    from srtod.support.devices import ONE_GPU, choose_device, predicts_channels_last, require_precision
    from srtod.support.files import require_free, write_json
    from srtod.support.progress import counting_bar

    if json is not None:
        require_free(json, overwrite=overwrite)
    chosen = choose_device(device, among=ONE_GPU)
    require_precision(precision, chosen)
    kind = chosen.type
    setting = Setting(
        *opt.parse_size(size),
        runs=runs,
        batch=batch_size,
        device=kind,
        precision=precision,
        threads=threads,
        fuse=fuse,
        channels_last=predicts_channels_last(kind, precision) if channels_last is None else channels_last,
        compiled=compiled,
        options={"backbone": backbone},
    )
    names = list(dict.fromkeys(systems or SYSTEMS))
    total = steps(names, setting)
    with counting_bar(total, shown=True) as bar:
        task = bar.add_task("building", total=total)
        costs = measure(names, setting, on_step=lambda word: bar.update(task, description=word, advance=1))
    Console().print(cost_table(costs, f"{batch_size} x {size} on {kind}, {precision}"))
    if json is not None:
        write_json(json, report(costs, setting), indent=2)
