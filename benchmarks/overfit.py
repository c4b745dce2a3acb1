"""Can each system learn? Train it on a few images until it knows them; print its AP50 on the same images.

    uv run benchmarks/overfit.py DATA --systems retinanet atss --json RESULT.json

From each of the first images with objects one window is cut around an object, and enlarged. Every system has
the settings of ``overfit.yaml`` and ``OWN``, and runs plain and with self-reconstruction.
Ends with 1 if one stays below 0.9.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn
from torchvision.utils import save_image

from srtod.data import read, splits
from srtod.data.dataset import DetectionDataset
from srtod.data.records import AnnotatedSet
from srtod.data.transforms import RandomCrop
from srtod.detectors.systems import SYSTEMS
from srtod.engine.fit import fit
from srtod.recipes import load_recipe
from srtod.support.files import write_json
from srtod.support.provenance import provenance

ENHANCED = "{head: lite, threshold: 0.1, mask: difference, losses_teach: backbone, enhancement: attention}"

ENOUGH = 0.9
RECIPE = Path(__file__).with_suffix(".yaml")
OWN = {
    "rfla": ("model.anchor_scale=null",),  # its anchors have no scales
    "tridentnet": (
        "model.backbone=resnet_narrow",
        "model.resize=[384,384]",  # of two objects in one cell of its only level, of stride 16, it finds one
        "model.anchor_scale=[1,2,4,8,16]",
        "model.rpn_proposals=[100,100]",
        "model.box_samples=16",
        "train.epochs=400",
    ),
    # Their levels begin at stride 8: larger windows, and for close objects more of RetinaNet's anchors.
    "retinanet": ("model.resize=[256,256]", "model.anchor_scale=[1,2]", "train.epochs=400"),
    "atss": ("model.resize=[256,256]", "train.epochs=400"),
    "dyhead": ("model.resize=[256,256]", "train.epochs=400"),
}
default_cfgs = generate_default_cfgs({"resnet_narrow.untrained": {}})  # where timm looks for it


@register_model
def resnet_narrow(pretrained: bool = False, **options: Any) -> nn.Module:
    """A ResNet for TridentNet, whose last stage is as deep as in ResNet-50, and an eighth as wide.

    That stage and a mean judge each box: a stage of a single block sees too little of the box to tell where
    in it the object lies.
    """
    return build_model_with_cfg(
        ResNet,
        "resnet_narrow",
        pretrained,
        block=(BasicBlock, BasicBlock, Bottleneck, Bottleneck),
        layers=(1, 1, 1, 3),
        channels=(32, 48, 48, 64),
        stem_type="deep",
        stem_width=16,
        avg_down=True,
        **options,
    )


def main() -> int:
    """Run the command."""
    options = _options()
    runs = [(system, variant) for system in options.systems for variant in (False, True)]
    with tempfile.TemporaryDirectory() as scratch:
        known = windows(options.data, Path(scratch), images=options.images, side=options.side)
        rows = []
        with ProcessPoolExecutor(options.jobs) as pool:
            for row in pool.map(overfit, *zip(*[(*run, known, options) for run in runs], strict=True)):
                print(row, file=sys.stderr)
                rows.append(row)
                _write(rows, options)
    print(_table(rows))
    return int(any(row["AP50"] < ENOUGH for row in rows))


def windows(data: Path, folder: Path, *, images: int, side: int) -> AnnotatedSet:
    """Cut a window of ``side`` pixels around an object of each of the first images that have one."""
    split = "train" if "train" in splits(data) else None
    whole = read(data, split=split)
    records = [record for record in whole.records if (~record.ignore).any()][:images]
    cut = RandomCrop(height=side, width=side, on_objects=1.0)
    samples = DetectionDataset(records, classes=whole.classes, transform=cut)
    windows = []
    for index, record in enumerate(records):
        image, target = samples[index]
        path = folder / f"{index}.png"
        save_image(image / 255, path)
        windows.append(
            replace(
                record,
                path=path,
                height=image.shape[1],
                width=image.shape[2],
                boxes=target["boxes"].double().numpy(),
                labels=target["labels"].numpy(),
                ignore=target["ignore"].numpy(),
                annotation_ids=np.arange(len(target["boxes"])),
                attributes=(),
            )
        )
    return replace(whole, records=tuple(windows), faults=())


def overfit(
    system: str, self_reconstruction: bool, known: AnnotatedSet, options: argparse.Namespace
) -> dict[str, Any]:
    """Train and evaluate one system on the same images."""
    torch.set_num_threads(max((os.cpu_count() or 1) // options.jobs, 1))
    recipe = load_recipe(
        RECIPE,
        [
            f"model.system={system}",
            *OWN.get(system, ()),
            f"model.self_reconstruction={ENHANCED if self_reconstruction else 'false'}",
            f"train.batch_size={len(known.records)}",
            *options.changes,
        ],
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = fit(recipe, known, known, Path(folder), device=options.device, quiet=True)
    return {
        "system": system,
        "self_reconstruction": self_reconstruction,
        "AP50": (result.scores or {})["AP50"],
        "AP": (result.scores or {})["AP"],
        "steps": result.steps,
        "seconds": round(time.monotonic() - started),
    }


def _write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    if options.json is not None:
        told = {"settings": options.changes, "rows": rows}
        write_json(options.json, provenance(options.device) | told, indent=2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", type=int, default=32, help="of the windows, in pixels")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| system | AP50 plain | AP50 with SR-TOD | steps | seconds |", "|---|---|---|---|---|"]
    for plain, enhanced in zip(rows[::2], rows[1::2], strict=True):
        lines.append(
            f"| {plain['system']} | {plain['AP50']:.3f} | {enhanced['AP50']:.3f} | {plain['steps']} | "
            f"{plain['seconds']} / {enhanced['seconds']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
