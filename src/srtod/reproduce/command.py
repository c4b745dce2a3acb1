"""From what a user types to a table."""

from collections.abc import Sequence
from pathlib import Path

from srtod.recipes import load_recipe
from srtod.reproduce.compare import Comparison, compare
from srtod.reproduce.options import Options
from srtod.reproduce.published import PublishedTable, choose_rows, published_tables
from srtod.reproduce.rows import Row, matched, without_reconstruction
from srtod.support.errors import InputError


def reproduce_table(
    name: str,
    data: Path,
    output: Path,
    *,
    rows: Sequence[str] = (),
    is_matched: bool = False,
    options: Options,
) -> str:
    """Train and evaluate rows of a table of the paper and set its numbers beside ours.

    Args:
        name: ``table-1`` to ``table-7``.
        data: a data set with a held-out split.
        output: folder for plan, runs and tables; the same again goes on.
        rows: keys of the rows to run; all where none is given.
        is_matched: base rows take all settings of the rows compared with them but self-reconstruction.
        options: how much is done.

    Returns:
        The table as Markdown.

    Raises:
        InputError: anything wrong in what was typed, in the data or in the folder.
    """
    table = published_tables()[name]
    own = matched(table.rows) if is_matched else table.rows
    comparison = Comparison(
        title=table.title,
        rows=own,
        columns=table.columns,
        splits=table.splits,
        published=table.scores,
        notes=(_about(table), _about_matching(is_matched)),
        asked={"table": name, "--matched": is_matched},
    )
    return compare(comparison, data, output, rows=choose_rows(own, rows), options=options)


def reproduce_matched(recipe: str, data: Path, output: Path, *, options: Options) -> str:
    """Train and evaluate a recipe with and without self-reconstruction, all else equal.

    Args:
        recipe: name or file; has self-reconstruction, if only by the changes in ``options``.
        data: a data set with a held-out split.
        output: folder for plan, runs and tables; the same again goes on.
        options: how much is done.

    Raises:
        InputError: the recipe has no self-reconstruction, or as :func:`reproduce_table`.
    """
    if load_recipe(recipe, options.changes).model.self_reconstruction is None:
        raise InputError(
            f"recipe {recipe}: has no self-reconstruction to compare; take another, or add "
            "--set model.self_reconstruction=true"
        )
    enhanced = Row("srtod", "with self-reconstruction", recipe, options.changes, base="base")
    base = without_reconstruction(enhanced, key="base", label="without")
    comparison = Comparison(
        title=f"{Path(recipe).stem}: with and without self-reconstruction",
        rows=(base, enhanced),
        notes=("The two rows differ in self-reconstruction alone.",),
        asked={"recipe": recipe},
    )
    return compare(comparison, data, output, options=options)


def _about(table: PublishedTable) -> str:
    return (
        f"Lines 'paper' are published numbers on {table.dataset} (Cao et al., Visible and Clear: Finding "
        "Tiny Objects in Difference Map, ECCV 2024); lines 'ours' were computed on the data named below. "
        "On other data, or reduced, compare gains, not values."
    )


def _about_matching(is_matched: bool) -> str:
    if is_matched:
        return (
            "Matched: every base row has the anchors, proposals, detections and schedule of the row with "
            "SR-TOD; they differ in self-reconstruction alone. The paper's lines are as published."
        )
    return (
        "Not matched: rows have the published settings, in which base rows may have other anchors; --matched "
        "makes self-reconstruction the only difference."
    )
