"""What of the training finds more tiny objects? Rows that differ in one thing each, several seeds.

    uv run benchmarks/training.py DATA --output STUDY --seeds 3 --json RESULT.json

As benchmarks/study.py, whose recipe every row has but for what it is named after. Called again it goes on;
--rows chooses. Without internet add --set model.pretrained_backbone=FILE.
"""

import sys

from study import RECIPE, run

from srtod.reproduce.rows import Row


def _row(key: str, label: str, *changes: str, base: str | None = "base") -> Row:
    return Row(key, label, RECIPE, changes, base)


CAMERA = ("brightness=0.2", "contrast=0.3", "gamma=0.2", "noise=0.02", "blur=0.5", "jpeg=0.2")
ATSS = ("model.system=atss", "model.anchor_scale=2")
RETINANET = ("model.system=retinanet", "model.anchor_scale=2")
ROWS = (
    _row("base", "Faster R-CNN, anchors of scale 2", "model.anchor_scale=2", base=None),
    _row("anchors", "anchors chosen from the boxes", "model.anchor_scale=auto"),
    _row("enlarged", "images enlarged twice", "model.anchor_scale=2", "model.resize=2"),
    _row(
        "slices", "slices that cover every image", "model.anchor_scale=2", "data.slice=192", "data.crop=null"
    ),
    _row("camera", "changes as of cameras", "model.anchor_scale=2", *(f"data.{own}" for own in CAMERA)),
    _row("nwd", "proposals assigned by NWD", "model.anchor_scale=2", "model.rpn_nwd=8"),
    _row("paste", "up to 8 copies pasted", "model.anchor_scale=2", "data.paste=8"),
    _row(
        "nwd-paste",
        "proposals by NWD, copies pasted",
        "model.anchor_scale=2",
        "model.rpn_nwd=8",
        "data.paste=8",
    ),
    _row("repeat", "rare classes repeated", "model.anchor_scale=2", "train.repeat_below=0.1"),
    _row("atss", "ATSS", *ATSS, base=None),
    _row("atss-reach-1", "ATSS, objects reach one cell", *ATSS, "model.least_reach=1", base="atss"),
    _row("atss-p2", "ATSS, levels from stride 4", *ATSS, "model.finest_stride=4", base="atss"),
    _row(
        "atss-p2-reach-1",
        "ATSS, both",
        *ATSS,
        "model.finest_stride=4",
        "model.least_reach=1",
        base="atss",
    ),
    _row("atss-reach-2", "ATSS, objects reach two cells", *ATSS, "model.least_reach=2", base="atss"),
    _row("retinanet", "RetinaNet", *RETINANET, base=None),
    _row(
        "retinanet-p2",
        "RetinaNet, levels from stride 4",
        *RETINANET,
        "model.finest_stride=4",
        base="retinanet",
    ),
)

if __name__ == "__main__":
    sys.exit(run(__doc__, "What of the training helps?", ROWS))
