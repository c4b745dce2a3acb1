"""``srtod data inspect``: the verb and its tables."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from srtod.cli import options as opt
from srtod.cli.advice import print_advice
from srtod.support.errors import shown

if TYPE_CHECKING:
    from srtod.data.inspection import Inspection, Statistics
    from srtod.engine.advice import Advice

_SHOWN_EXAMPLES = 20
_SHOWN_CLASSES = 400
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def inspect(
    data: Annotated[Path, typer.Argument(help="Folder or file in a known layout.", show_default=False)],
    *,
    format: opt.Layout = None,
    split: opt.OneSplit = None,
    stretch: opt.StretchOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for a picture sheet of each split.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe (name or YAML file): count the boxes that are not assigned in any view tried.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write numbers, findings and all faults there.", show_default=False),
    ] = None,
    overwrite: opt.Overwrite = False,
) -> None:
    """Print statistics and findings of a data set and what to do, and draw a picture sheet of it.

    Every image is decoded once. A finding has a severity (error, warning, note), a name, a count, a remedy
    and examples. Exit code 0: no faults; 2: faults were found (--json lists each with its file, image and
    annotation), or the data set cannot be read at all. Of VisDrone, AI-TOD and DroneSwarms it also says
    whether the copy has the published numbers of images and objects. Last comes advice from the boxes to
    learn from: a recipe that fits them and this machine, and which systems can learn them.
    """
    from srtod.data.depth import parse_stretch
    from srtod.data.inspection import inspect_splits
    from srtod.plots.sheet import write_sheets
    from srtod.support.files import require_free, write_json

    if json is not None:
        require_free(json, overwrite=overwrite, inputs=(data,))
    look = None
    if recipe is not None:
        from srtod.engine.assignment import never_assigned
        from srtod.recipes import load_recipe

        look = partial(never_assigned, recipe=load_recipe(recipe), progress=True)
    wanted = parse_stretch(stretch) or "auto"
    inspection = inspect_splits(data, format=format, split=split, progress=True, look=look, stretch=wanted)
    console = Console()
    print_inspection(inspection, console)
    advice = _advice(inspection)
    if advice is not None:
        print_advice(advice, data, console)
    if output is not None:
        for path in write_sheets(inspection.splits, output, overwrite=overwrite):
            typer.echo(f"picture sheet: {path}")
    if json is not None:
        more = {"advice": None if advice is None else advice.to_json()}
        write_json(json, inspection.to_json() | more, indent=2)
    if inspection.faulty:
        raise typer.Exit(2)


def _advice(inspection: "Inspection") -> "Advice | None":
    """On the split to learn from, if anything is marked in it."""
    from srtod.engine.advice import give_advice
    from srtod.engine.sets import first_of
    from srtod.support.devices import choose_device

    sets = {annotated.split: annotated for annotated, _ in inspection.splits}
    learned = sets[first_of(("train", "trainval", *sets), tuple(sets)) or ""]
    if not learned.has_objects:
        return None
    return give_advice(learned, choose_device("auto"))


def print_inspection(inspection: "Inspection", console: Console) -> None:
    """Print tables of all splits side by side, what was found, and what a known set lacks."""
    statistics = [numbers for _, numbers in inspection.splits]
    console.print(_overview(statistics))
    console.print(_class_table(statistics))
    _print_findings(inspection, console)
    for comparison in (*(numbers.published for numbers in statistics), inspection.published):
        if comparison is not None:
            console.print(str(comparison), style="green" if comparison.complete else "yellow", soft_wrap=True)


def _print_findings(inspection: "Inspection", console: Console) -> None:
    from srtod.data.rules import FAULTS, NOTES

    for name, group in groupby(inspection.findings, lambda finding: finding.name):
        found = list(group)
        counts = ", ".join(f"{one.count:,}{f' in {one.split}' if one.split else ''}" for one in found)
        head = f"{found[0].severity}: {name}: {counts}; {found[0].remedy}"
        _print_line(console, head, _STYLES[found[0].severity])
        prefix = "fault: " if name in FAULTS else "note: " if name in NOTES else "  "
        for example in [line for one in found for line in one.examples][:_SHOWN_EXAMPLES]:
            _print_line(console, f"{prefix}{example}")
    for numbers in (numbers for _, numbers in inspection.splits if numbers.faults):
        split = numbers.split or "the set"
        _print_line(console, f"--json lists all {len(numbers.faults):,} faults of {split}")
    total = sum(len(numbers.faults) for _, numbers in inspection.splits)
    console.print(f"faults: {total:,}" if total else "no faults", style="bold red" if total else "green")


def _print_line(console: Console, line: str, style: str | None = None) -> None:
    console.print(line, style=style, soft_wrap=True, markup=False, highlight=False)


def _overview(statistics: Sequence["Statistics"]) -> Table:
    table = Table("", *(_title(numbers) for numbers in statistics), title="data set", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    per_image = [numbers.objects_per_image for numbers in statistics]
    table.add_row("images", *(f"{numbers.images:,}" for numbers in statistics))
    table.add_row("  without objects", *(f"{numbers.images_without_objects:,}" for numbers in statistics))
    table.add_row("  most frequent size", *(next(iter(numbers.image_sizes), "-") for numbers in statistics))
    table.add_row("objects", *(f"{numbers.objects:,}" for numbers in statistics))
    table.add_row("regions to ignore", *(f"{numbers.regions_to_ignore:,}" for numbers in statistics))
    table.add_row("objects an image, mean", *(f"{counts['mean']:.1f}" for counts in per_image))
    table.add_row("  median", *(f"{counts['median']:g}" for counts in per_image))
    table.add_row("  max", *(f"{counts['max']:g}" for counts in per_image))
    table.add_row("size (sqrt of area), mean", *(_pixels(numbers.mean_size) for numbers in statistics))
    table.add_row("  median", *(_pixels(numbers.median_size) for numbers in statistics))
    for name in statistics[0].size_bins:
        table.add_row(f"  {name} px", *(_share(numbers, name) for numbers in statistics))
    return table


def _class_table(statistics: Sequence["Statistics"]) -> Table:
    table = Table("class", title="objects by class (+ regions to ignore), mean size", title_justify="left")
    for numbers in statistics:
        table.add_column(_title(numbers), justify="right")
    names = list(dict.fromkeys(name for numbers in statistics for name in numbers.classes))
    for name in names[:_SHOWN_CLASSES]:
        table.add_row(Text(shown(name)), *(_class_cell(numbers.classes.get(name)) for numbers in statistics))
    if len(names) > _SHOWN_CLASSES:
        table.caption = f"and {len(names) - _SHOWN_CLASSES:,} more classes, which --json lists"
    return table


def _class_cell(numbers: dict[str, float | None] | None) -> str:
    if numbers is None:
        return "-"
    regions = f"+ {numbers['regions_to_ignore']:,}" if numbers["regions_to_ignore"] else ""
    return f"{numbers['objects']:,} {regions:>7} {_pixels(numbers['mean_size']):>8}"


def _title(numbers: "Statistics") -> str:
    return numbers.split or numbers.format


def _pixels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} px"


def _share(numbers: "Statistics", name: str) -> str:
    count = numbers.size_bins[name]
    return f"{count:,}  {count / max(numbers.objects, 1):>6.1%}"
