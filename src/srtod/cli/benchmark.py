"""``srtod benchmark``."""

from pathlib import Path
from typing import Annotated

import typer

from srtod.cli.options import parse_choice, parse_size


def benchmark(
    systems: Annotated[
        list[str] | None, typer.Argument(help="Systems; default: all.", metavar="SYSTEM")
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the image in pixels.")] = "1920x1080",
    rounds: Annotated[int, typer.Option(help="Timed rounds of all variants.", min=1)] = 5,
    backbone: Annotated[str, typer.Option(help="timm backbone.")] = "resnet50",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: torch's choice.", min=1)] = None,
    json: Annotated[Path | None, typer.Option(help="Write the table as JSON, too.", metavar="FILE")] = None,
) -> None:
    """Parameters, FLOPs and latency of each system, plain, with the paper's head and with the lite head."""
    from rich.console import Console

    from srtod.detectors.zoo import SYSTEMS
    from srtod.files import write_json
    from srtod.inference.benchmark import Cost, Setting, cost_table, measure, report

    parse_choice(device, ("cpu", "cuda"), option="--device")
    parse_choice(precision, ("float32", "bfloat16"), option="--precision")
    width, height = parse_size(size)
    setting = Setting(width, height, rounds, device, precision, threads, (("backbone", backbone),))
    costs: list[Cost] = []
    with Console(stderr=True).status("building") as status:
        for system in systems or SYSTEMS:
            for step in measure(system, setting):
                if isinstance(step, Cost):
                    costs.append(step)
                else:
                    status.update(step)
    Console().print(cost_table(costs, f"One image of {size} on {device}, {precision}"))
    if json is not None:
        write_json(json, report(costs, setting), indent=2)
