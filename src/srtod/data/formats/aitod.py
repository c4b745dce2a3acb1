"""AI-TOD and AI-TOD-v2: COCO files of known names, beside images that both versions share.

The names are those of the archives (``aitod_train_v1.json``, ``aitodv2_train.json``) and of RFLA's authors
(``small_trainval_v2_2.0.json``). Images lie in ``images/<split>/`` (the official toolkit),
``<split>/images/`` (SR-TOD's authors) or ``<split>/``.
"""

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from srtod.data.folders import files_like
from srtod.data.formats import coco
from srtod.data.formats.layout import Splits, name_splits, split_name
from srtod.support.errors import InputError

CLASSES = ("airplane", "bridge", "storage-tank", "ship", "swimming-pool", "vehicle", "person", "wind-mill")
_NAME = re.compile(r"aitod.*|small_(trainval|train|val|test)_v[12].*", re.IGNORECASE)


def find(path: Path, version: int | None = None) -> Splits:
    """Find the splits at ``path``, a known file or a folder that holds some (or has a sub-folder that does).

    Args:
        path: a file or folder.
        version: 1 or 2; ``None`` takes the one that is there.

    Raises:
        InputError: both versions lie there and none is chosen: they annotate the same images differently.
    """
    files = [path] if path.is_file() else files_like(path, "*.json", "*/*.json")
    versions: dict[int, list[Path]] = defaultdict(list)
    for file in files:
        if file.suffix == ".json" and _NAME.fullmatch(file.stem):
            versions[version_of(file)].append(file)
    if version is None and len(versions) > 1:
        raise InputError(
            f"{path}: AI-TOD v1 and v2 lie side by side here; say which with --format aitod-v1 or aitod-v2"
        )
    chosen = versions[version or next(iter(versions), 1)]
    named = name_splits(chosen, lambda file: split_name(file.stem))
    return {
        split: partial(coco.read_file, file, split, chosen, format="aitod") for split, file in named.items()
    }


def version_of(file: Path) -> int:
    """Tell AI-TOD (1) from AI-TOD-v2 (2) by the name of an annotation file."""
    return 2 if "v2" in file.stem.lower() else 1
