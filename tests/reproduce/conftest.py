"""Squares to find, and rows of a recipe that trains on them in seconds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srtod.reproduce.rows import Comparison, Row
from srtod.reproduce.runs import RunResult

RECIPE = str(Path(__file__).parents[1] / "engine" / "tiny.yaml")
SIDE = 10


def write_split(folder: Path, split: str, images: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    for number in range(1, images + 1):
        pixels = chance.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        for x, y in chance.integers(0, 50, (3, 2)).tolist():
            pixels[y : y + SIDE, x : x + SIDE] = 220
            box = {"bbox": [x, y, SIDE, SIDE], "area": SIDE * SIDE, "iscrowd": 0, "category_id": 1}
            content["annotations"].append(box | {"id": len(content["annotations"]) + 1, "image_id": number})
        name = f"{split}{number}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        content["images"].append({"id": number, "file_name": name, "width": 64, "height": 64})
    (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("squares")
    (folder / "images").mkdir()
    write_split(folder, "train", 8, seed=0)
    write_split(folder, "test", 4, seed=1)
    return folder


@pytest.fixture
def comparison() -> Comparison:
    """Two rows, of which one has self-reconstruction."""
    plain = Row("plain", "plain <row>", RECIPE, ("model.self_reconstruction=false",))
    lite = Row("lite", "with it", RECIPE, base="plain")
    return Comparison("a | title", (plain, lite), published={"plain": {"AP": 0.1}, "lite": {"AP": 0.15}})


@pytest.fixture(scope="session")
def result():
    """Make the result of a run from its metrics."""

    def made(row: str, seed: int, **metrics: float) -> RunResult:
        machine = {"gpu": None, "processor": "a processor", "threads": 1, "torch": "2"}
        told = {"version": "1", "commit": None, "date": "2026-01-02T03:04:05+00:00", "machine": machine}
        seconds = {"train": 1.0, "evaluate": 0.5}
        return RunResult(
            row=row,
            seed=seed,
            metrics=metrics,
            seconds=seconds,
            steps=4,
            train_images=8,
            held_out_images=4,
            recipe="0",
            provenance=told,
        )

    return made
