"""What was decided before the first run, kept beside the runs, so that the same command goes on with it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from srtod.data.records import AnnotatedSet
from srtod.support.errors import InputError
from srtod.support.files import read_json, write_json
from srtod.support.validation import validated

PLAN = "plan.json"


class Plan(BaseModel):
    """What every run of a comparison has in common.

    Attributes:
        asked: options by name, as given; they may not change any more.
        data: what tells the data from others; may not change either.
        rows: keys of the rows asked for so far.
        seeds: trainings of each row asked for so far.
        epochs: of every row; None is each recipe's own.
        fraction: share of the training images.
        held_out: share of the held-out images.
        estimate: seconds for all runs, where a budget was given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: dict[str, Any]
    data: dict[str, Any]
    rows: tuple[str, ...] = ()
    seeds: int = 0
    epochs: int | None = None
    fraction: float = 1.0
    held_out: float = 1.0
    estimate: float | None = None

    def extended(self, rows: Iterable[str], seeds: int) -> "Plan":
        """Return the plan with further rows and seeds."""
        keys = tuple(dict.fromkeys((*self.rows, *rows)))
        return self.model_copy(update={"rows": keys, "seeds": max(seeds, self.seeds)})

    def write(self, output: Path) -> None:
        """Write the plan into a folder.

        Raises:
            InputError: it cannot be written to.
        """
        write_json(output / PLAN, self.model_dump(mode="json"), indent=2)


def read_plan(output: Path, *, asked: Mapping[str, Any], data: Mapping[str, Any]) -> Plan | None:
    """Read the plan of a folder; None where nothing is in it yet.

    Raises:
        InputError: the folder holds something else, or its plan was made for other options or other data.
    """
    path = output / PLAN
    if not path.exists():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(
                f"{output}: not empty, and no {PLAN} in it to go on with; choose another --output"
            )
        return None
    plan = validated(Plan, read_json(path), where=str(path))
    for kind, before, now in (("", plan.asked, asked), ("data: ", plan.data, data)):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise InputError(
                    f"{path}: begun with {kind}{key} {before.get(key)}, now it is {now.get(key)}; give the "
                    "same, or another --output"
                )
    return plan


def describe_data(data: Path, train_set: AnnotatedSet, held_out: AnnotatedSet) -> dict[str, Any]:
    """Return what tells these data from others, as plain values for JSON."""
    described: dict[str, Any] = {"name": data.resolve().name, "classes": list(train_set.classes)}
    for kind, annotated in (("train", train_set), ("held_out", held_out)):
        described |= {
            f"{kind}_split": annotated.split,
            f"{kind}_images": len(annotated.records),
            f"{kind}_boxes": sum(len(record.boxes) for record in annotated.records),
            f"{kind}_digest": _digest(annotated),
        }
    return described


def _digest(annotated: AnnotatedSet) -> str:
    digest = hashlib.sha256()
    for record in annotated.records:
        digest.update(f"{record.file_name} {record.width} {record.height}".encode())
        digest.update(record.boxes.tobytes() + record.labels.tobytes() + record.ignore.tobytes())
    return digest.hexdigest()[:16]
