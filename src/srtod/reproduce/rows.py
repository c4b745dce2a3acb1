"""Rows: recipes that are compared, and which one is compared with which."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from srtod.recipes import Recipe, load_recipe

_WITHOUT = "model.self_reconstruction=false"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        key: short name, which folders and files carry.
        label: what the reader of the table sees.
        recipe: name or file.
        changes: ``section.key=value`` on top of the recipe: what this row is about.
        base: key of the row that its gain is counted from; None where there is none.
    """

    key: str
    label: str
    recipe: str
    changes: tuple[str, ...] = ()
    base: str | None = None


def resolve(row: Row, *, overlays: Sequence[str] = (), changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a row.

    Args:
        row: its own changes come last, so that no other takes away what the row is about.
        overlays: recipes laid over the row's.
        changes: for all rows. Switches of self-reconstruction reach only the rows that have it.

    Raises:
        InputError: no such recipe, key or value.
    """
    has_it = load_recipe(row.recipe, row.changes).model.self_reconstruction is not None
    last = () if has_it else (_WITHOUT,)
    return load_recipe(row.recipe, (*changes, *row.changes, *last), overlays=overlays)


def matched(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give each plain base the recipe of the first row compared with it, without self-reconstruction.

    Then they differ in self-reconstruction alone: anchors, proposals, detections and schedule are the same.
    """
    return tuple(_matched(row, rows) for row in rows)


def without_reconstruction(row: Row, *, key: str, label: str) -> Row:
    """Return the row that a row is compared with: the same without self-reconstruction."""
    return replace(row, key=key, label=label, changes=(*row.changes, _WITHOUT), base=None)


def _matched(row: Row, rows: Sequence[Row]) -> Row:
    partner = next((other for other in rows if other.base == row.key), None)
    if partner is None or resolve(row).model.self_reconstruction is not None:
        return row
    return without_reconstruction(partner, key=row.key, label=row.label)
