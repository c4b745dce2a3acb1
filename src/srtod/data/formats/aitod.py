"""AI-TOD and AI-TOD-v2: COCO files of official names (``aitod_train_v1.json``, ``aitodv2_val.json``)."""

from functools import partial
from pathlib import Path

from srtod.data.formats import coco
from srtod.data.formats.layout import Splits, name_splits, split_name


def find(path: Path) -> Splits:
    """Find the splits at ``path``, an official file or the folder that holds them (or ``annotations/``)."""
    files = [path] if path.is_file() else [*path.glob("*.json"), *path.glob("annotations/*.json")]
    official = [file for file in files if file.suffix == ".json" and file.name.lower().startswith("aitod")]
    named = name_splits(official, lambda file: split_name(file.stem))
    return {split: partial(coco.read_file, file, split, format="aitod") for split, file in named.items()}
