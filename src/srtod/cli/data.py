"""``srtod data``: synthesize, inspect, convert, fix, split, audit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srtod.assets import SHIPPED
from srtod.cli import options as opt
from srtod.cli.inspect import inspect
from srtod.cli.synthesize import synthesize
from srtod.defaults import LabelLayout
from srtod.support.errors import InputError

if TYPE_CHECKING:
    from srtod.data import AnnotatedSet

Source = Annotated[Path, typer.Argument(help="Data set in a known layout.", show_default=False)]
Target = Annotated[Path, typer.Argument(help="New or empty folder.", show_default=False)]
Link = Annotated[
    bool, typer.Option("--link/--copy", help="Hard-link the image files instead of copying them.")
]

app = typer.Typer(help="Make, look at, convert, fix, split and audit data sets.", no_args_is_help=True)
app.command()(synthesize)
app.command()(inspect)


@app.command()
def convert(
    source: Source,
    target: Target,
    *,
    to: Annotated[LabelLayout, typer.Option(help="Layout to write.", show_default=False)],
    format: opt.Layout = None,
    split: opt.OneSplit = None,
    link: Link = False,
    skip_bad: opt.SkipBad = False,
) -> None:
    """Write a data set in another layout, whole or not at all, and list what that layout cannot hold."""
    from srtod.data.conversion import convert as convert_set

    sets, lost = convert_set(
        source, target, to, format=format, split=split, link=link, skip_bad=skip_bad, progress=True
    )
    for annotated in sets:
        none = "" if annotated.records else ", not written: none of its images is sound"
        typer.echo(f"{target}: {_described(annotated)}{none}")
    _report(sets, lost, to)


@app.command()
def fix(
    source: Source,
    target: Target,
    *,
    to: Annotated[
        LabelLayout | None,
        typer.Option(help="Layout to write; else that of the source where it holds everything, or coco."),
    ] = None,
    format: opt.Layout = None,
    split: opt.OneSplit = None,
    link: Link = False,
) -> None:
    """Write a sound copy of a data set, and list every change in its changes.json.

    Boxes are clipped, sizes filled in, doubles written once, ids counted anew where they are none. An object
    that is wrong while its place is known becomes a region to ignore; an image that cannot be read, or in
    which the place of an object is not known, is left out. What data inspect finds by looking at boxes and
    images is yours to judge and stays.
    """
    from srtod.data.fixing import CHANGES
    from srtod.data.fixing import fix as fix_set
    from srtod.data.rules import RULES

    fixed = fix_set(source, target, to=to, format=format, split=split, link=link, progress=True)
    for annotated in fixed.sets:
        typer.echo(f"{target}: {_described(annotated)} ({fixed.layout})")
    for change in fixed.changes:
        where = f" in {change.split}" if change.split else ""
        done = f"{change.name}: {change.count:,}{where}: {RULES[change.name].fix}"
        typer.echo(f"{done}; {change.examples[0]}")
    for what, count in fixed.lost.most_common():
        typer.echo(f"{fixed.layout} cannot hold {what}: {count:,}")
    kinds = len(fixed.changes)
    typer.echo(f"changes: {kinds} kinds, all cases in {target / CHANGES}" if kinds else "nothing to change")


@app.command("split")
def split_set(
    source: Source,
    target: Target,
    *,
    shares: Annotated[str, typer.Option(help="Names of the splits and their shares.")] = "train=0.8,val=0.2",
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that finds the video, flight or place in a file name; its images stay "
            "together.",
            show_default=False,
        ),
    ] = None,
    group_field: Annotated[
        str | None,
        typer.Option(help="Field of a COCO image that says so instead: video_id.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the splits; same seed, same splits.")] = 0,
    to: Annotated[LabelLayout, typer.Option(help="Layout to write.")] = "coco",
    format: opt.Layout = None,
    split: Annotated[
        str | None, typer.Option(help="Divide this split of the source.", show_default=False)
    ] = None,
    link: Link = False,
    skip_bad: opt.SkipBad = False,
) -> None:
    """Divide a data set into splits by share, with groups kept whole and classes balanced.

    Without groups, identical files stay together.
    """
    from srtod.data import read
    from srtod.data.conversion import checked, write_sets
    from srtod.data.splitting import by_content, by_field, by_pattern, divide, torn_apart

    if group_by is not None and group_field is not None:
        raise InputError("--group-by and --group-field: give one of them")
    group_of = by_pattern(group_by) if group_by else by_field(group_field) if group_field else by_content
    asked = _shares(shares)
    whole = checked(read(source, format=format, split=split), skip_bad=skip_bad, progress=True)
    parts = divide(whole, asked, group_of=group_of, seed=seed)
    lost = write_sets(parts, target, to, link=link, progress=True)
    for part in parts:
        typer.echo(f"{target}: {_described(part)}: {_classes(part)}")
    if group_of is not by_content and (torn := torn_apart(parts)):
        one, other = torn[0]
        typer.echo(
            f"{len(torn):,} images are the same file as one of another split, such as {one.path} and "
            f"{other.path}; remove one of each, or give groups that hold both",
            err=True,
        )
    _report([whole], lost, to)


@app.command()
def audit(
    source: Source,
    target: Target,
    *,
    weights: opt.FinderWeights = SHIPPED,
    trust_weights: opt.TrustWeights = False,
    split: opt.HeldOutSplit = None,
    format: opt.Layout = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "fp32",
    stretch: opt.StretchOption = None,
    batch_size: opt.BatchSize = 1,
    least: Annotated[float, typer.Option(min=0, max=1, help="Confidence from which on to doubt.")] = 0.3,
    skip_bad: opt.SkipBad = False,
) -> None:
    """Rank labels that are likely missing, of a wrong class or out of place: those that weights contradict.

    Best with weights that have not learned from these images. Writes audit.json, sheet.png with the places
    enlarged (labels as white corners, what was found as frames), and labels/, a COCO set to correct in a
    labelling tool.
    """
    from srtod.data.depth import parse_stretch, stretch_of
    from srtod.engine.audit import LABELS, SHEET, write_audit
    from srtod.engine.audit import audit as audit_labels
    from srtod.engine.sets import Source as Images
    from srtod.engine.sets import evaluation_set
    from srtod.inference import load_finder
    from srtod.support.files import atomic_folder

    with atomic_folder(target) as scratch:
        finder = load_finder(
            weights,
            device=device,
            precision=precision,
            stretch=parse_stretch(stretch),
            trust_weights=trust_weights,
            calibrated=False,
        )
        images = evaluation_set(Images(source, split, format, skip_bad, stretch_of(finder)))
        annotated, doubts = audit_labels(finder, images, batch_size=batch_size, least=least)
        write_audit(scratch, doubts, annotated)
    kinds = Counter(doubt.kind for doubt in doubts)
    counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()) or "none"
    typer.echo(f"labels in doubt: {counts}")
    typer.echo(f"{target}: the most likely first in audit.json and {SHEET}; correct them in {LABELS}/")


def _shares(text: str) -> dict[str, float]:
    """Read ``train=0.8,val=0.2``, before any data."""
    from srtod.data.splitting import check_shares

    parts = [part.partition("=") for part in text.split(",")]
    try:
        shares = {name.strip(): float(share) for name, _, share in parts}
    except ValueError:
        shares = {}
    if len(shares) < len(parts):
        raise InputError(f"--shares {text}: name each split once, with its share: train=0.8,val=0.2")
    check_shares(shares)
    return shares


def _described(annotated: "AnnotatedSet") -> str:
    boxes = sum(record.object_count for record in annotated.records)
    ignored = sum(int(record.ignore.sum()) for record in annotated.records)
    besides = f" and {ignored:,} regions to ignore" if ignored else ""
    return f"{annotated.split or 'all'}: {len(annotated.records):,} images, {boxes:,} boxes{besides}"


def _classes(annotated: "AnnotatedSet") -> str:
    """The objects of each class, regions to ignore left out."""
    counts = Counter(
        label for record in annotated.records for label in record.labels[~record.ignore].tolist()
    )
    return ", ".join(f"{name} {counts[label]:,}" for label, name in enumerate(annotated.classes))


def _report(sets: "Sequence[AnnotatedSet]", lost: Counter[str], to: str) -> None:
    """Say what was left out of the source, and what the layout cannot hold."""
    from srtod.data.records import told

    for annotated in sets:
        for note in annotated.notes:
            typer.echo(note)
        for line in told(annotated.faults):
            typer.echo(f"left out or clipped: {line}")
    for what, count in lost.most_common():
        typer.echo(f"{to} cannot hold {what}: {count:,}")
    if not lost:
        typer.echo(f"{to} holds everything")
