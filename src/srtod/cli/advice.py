"""What ``srtod data inspect`` ends with: advice."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from srtod.engine.advice import Advice


def print_advice(advice: "Advice", data: Path, console: Console) -> None:
    """Print which systems learn what, and the recipe that fits."""
    from srtod.recipes.advice import advice_text

    console.print(_systems(advice))
    split = f", split {advice.split}" if advice.split else ""
    lines = [
        f"advice for {data}{split}, on this machine (srtod train without --recipe takes it):",
        "",
        advice_text(advice.settings),
        f"predict with --slice {advice.slice}: whole images are too large for this machine"
        if advice.slice
        else "predict on whole images, without --slice",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _systems(advice: "Advice") -> Table:
    bins = list(dict.fromkeys(name for one in advice.systems for name in one.positives))
    table = Table(
        "system",
        f"of the smallest tenth (to {advice.smallest:.1f} px) learned",
        *bins,
        title="what systems can learn with anchors that fit: positive anchors or cells an object, by px",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for one in advice.systems:
        counts = (f"{one.positives[name]:.1f}" if name in one.positives else "-" for name in bins)
        options = "".join(f" ({key}={value})" for key, value in one.options.items())
        table.add_row(", ".join(one.systems) + options, f"{one.smallest:.0%}", *counts)
    return table
