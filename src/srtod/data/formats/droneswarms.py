"""DroneSwarms in its authors' layout: ``train/train.json`` + ``train/JPEGImages``, ``test/...`` likewise."""

from functools import partial
from pathlib import Path

from srtod.data.formats import coco
from srtod.data.formats.layout import Splits


def find(path: Path) -> Splits:
    """Find the splits at ``path``, the folder above them or one of their JSON files."""
    folders = [path.parent] if path.is_file() else [path / split for split in ("train", "val", "test")]
    files = [folder / f"{folder.name}.json" for folder in folders if (folder / "JPEGImages").is_dir()]
    splits = {file.stem: file for file in files if file.is_file() and (path.is_dir() or path == file)}
    return {
        split: partial(coco.read_file, file, split, splits.values(), format="droneswarms")
        for split, file in splits.items()
    }
