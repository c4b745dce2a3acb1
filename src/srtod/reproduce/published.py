"""The paper's tables 1 to 7: what was published, and the recipe of each row."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from srtod.reproduce.rows import Row
from srtod.support.errors import InputError, did_you_mean

Scores = dict[str, float]


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper.

    Attributes:
        name: ``table-1`` ...
        title: what it shows.
        dataset: that it is of.
        splits: of it that were trained and evaluated on, where these are not the usual ones.
        columns: metrics, in the paper's order.
        rows: in the paper's order.
        scores: published metrics of each row by its key, as fractions of 1.
    """

    name: str
    title: str
    dataset: str
    splits: tuple[str, str] | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    scores: dict[str, Scores]


def published_tables() -> dict[str, PublishedTable]:
    """Return all tables by name."""
    path = Path(str(files("srtod.reproduce"))) / "published.yaml"
    return {
        name: _table(name, said) for name, said in yaml.safe_load(path.read_text(encoding="utf-8")).items()
    }


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


def _table(name: str, said: dict[str, Any]) -> PublishedTable:
    columns = tuple(said["columns"])
    return PublishedTable(
        name=name,
        title=said["title"],
        dataset=said["dataset"],
        splits=_splits(said),
        columns=columns,
        rows=tuple(_row(key, row) for key, row in said["rows"].items()),
        scores={
            key: {
                column: round(value / 100, 4) for column, value in zip(columns, row["published"], strict=True)
            }
            for key, row in said["rows"].items()
        },
    )


def _splits(said: dict[str, Any]) -> tuple[str, str] | None:
    splits = said.get("splits")
    return None if splits is None else (splits["train"], splits["held_out"])


def _row(key: str, said: dict[str, Any]) -> Row:
    return Row(
        key=key,
        label=said["label"],
        recipe=said["recipe"],
        changes=tuple(said.get("changes", ())),
        base=said.get("base"),
    )
