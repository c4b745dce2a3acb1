"""What is compared: rows, each a recipe with changes, and the paper's tables of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

import yaml

from srtod.detectors.config import DetectorConfig
from srtod.detectors.systems import without_others
from srtod.recipes import Recipe, load_recipe
from srtod.support.errors import InputError, did_you_mean

COLUMNS = ("AP", "AP50", "AP75", "APvt", "APt", "APs")
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


@dataclass(frozen=True)
class Comparison:
    """The rows of a table and what stands around them.

    Attributes:
        title: of the table.
        rows: all of the table's, whether they are run or not.
        columns: names of metrics.
        dataset: that published numbers are of.
        splits: to train and to evaluate on, where the data have both; None leaves the usual ones.
        published: numbers to set beside ours, fractions of 1, by row.
        notes: what the reader of the table should know first.
        asked: what decides the rows, as plain values for the plan.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = COLUMNS
    dataset: str = ""
    splits: tuple[str, str] | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)


def resolve(row: Row, *, overlays: Sequence[str] = (), changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a row.

    Args:
        row: its own changes come last, so that no other takes away what the row is about.
        overlays: recipes laid over the row's.
        changes: for all rows. Options of other systems are left out, and switches of self-reconstruction
            reach only the rows that have it.

    Raises:
        InputError: no such recipe, key or value.
    """
    model = _model(row, changes)
    changes = [change for change in changes if _has_option(model, change)]
    last = () if model.self_reconstruction is not None else (_WITHOUT,)
    return load_recipe(row.recipe, (*changes, *row.changes, *last), overlays=overlays)


def left_out(rows: Sequence[Row], changes: Sequence[str]) -> dict[str, list[str]]:
    """Return the changes that some rows' systems, but not all systems, have no option for, and these rows."""
    models = {row.key: _model(row, changes) for row in rows}
    lacking = {
        change: [key for key, model in models.items() if not _has_option(model, change)] for change in changes
    }
    return {change: keys for change, keys in lacking.items() if keys}


def _model(row: Row, changes: Sequence[str]) -> DetectorConfig:
    """The options of a row's system, which the changes may have made another."""
    systems = [change for change in changes if change.startswith("model.system=")]
    return load_recipe(row.recipe, (*systems, *row.changes)).model


def _has_option(model: DetectorConfig, change: str) -> bool:
    """Tell whether a change is none of an option that only other systems have."""
    section, _, option = change.partition("=")[0].partition(".")
    return section != "model" or bool(without_others({option.partition(".")[0]: None}, model.system))


def without_reconstruction(row: Row, *, key: str, label: str) -> Row:
    """Return the row that a row is compared with: the same without self-reconstruction."""
    return replace(row, key=key, label=label, changes=(*row.changes, _WITHOUT), base=None)


def matched(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Give each plain base the recipe of the first row compared with it, without self-reconstruction.

    Then they differ in self-reconstruction alone: anchors, proposals, detections and schedule are the same.
    """
    enhanced = {row.base: row for row in reversed(rows)}
    return tuple(
        without_reconstruction(enhanced[row.key], key=row.key, label=row.label)
        if row.key in enhanced and resolve(row).model.self_reconstruction is None
        else row
        for row in rows
    )


def choose_rows(rows: Sequence[Row], keys: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows of these keys in the table's order; all where no key is given.

    Raises:
        InputError: an unknown key; the message lists the known ones.
    """
    known = [row.key for row in rows]
    unknown = next((key for key in keys if key not in known), None)
    if unknown is not None:
        raise InputError(
            f"--rows {unknown}: no such row{did_you_mean(unknown, known)}; there are {', '.join(known)}"
        )
    return tuple(row for row in rows if not keys or row.key in keys)


def published_tables() -> dict[str, Comparison]:
    """Return the paper's tables ``table-1`` to ``table-7`` by name, as published."""
    text = files("srtod.reproduce").joinpath("published.yaml").read_text(encoding="utf-8")
    return {name: _published(table) for name, table in yaml.safe_load(text).items()}


def _published(table: Mapping[str, Any]) -> Comparison:
    columns, rows = tuple(table["columns"]), table["rows"]
    return Comparison(
        title=table["title"],
        rows=tuple(
            Row(key, row["label"], row["recipe"], tuple(row.get("changes", ())), row.get("base"))
            for key, row in rows.items()
        ),
        columns=columns,
        dataset=table["dataset"],
        splits=tuple(table["splits"]) if "splits" in table else None,
        published={
            key: {name: round(value / 100, 4) for name, value in zip(columns, row["published"], strict=True)}
            for key, row in rows.items()
        },
    )
