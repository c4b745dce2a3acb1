"""Speed, memory and waits of every system in training and inference, with torchvision's beside them in turns.

    uv run benchmarks/gpu.py [--device cuda] [--beside] [--minutes 5] [--output RESULT.json]

The most telling comparisons come first; what the minutes do not reach is named in the result. Weights and
images are random; the candidates of a pass are as many as published settings keep. Models of a comparison
take turns, A B A B, so that a drift of the machine meets all alike. Waits are the operations of one step at
which the GPU makes the host wait, as ``torch.cuda.set_sync_debug_mode`` reports them.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from srtod import build_detector
from srtod.cli.options import parse_size
from srtod.detectors.systems import SYSTEMS
from srtod.support.devices import choose_device, in_precision
from srtod.support.files import write_json
from srtod.support.provenance import provenance

Mode = Literal["training", "inference"]
Build = Callable[[], nn.Module]

MODES: tuple[Mode, ...] = ("training", "inference")
HEADS = ("none", "lite", "paper")
OBJECTS = 30
QUICK = {
    "pyramid_channels": 32,
    "box_channels": 32,
    "rpn_proposals": (100, 50),
    "rpn_samples": 32,
    "box_samples": 32,
}
"""Options that make a system fast, and its numbers worthless."""
COMPILING = 90.0
"""Seconds kept free for a comparison that compiles, until one has shown how long it takes."""


@dataclass(frozen=True)
class Comparison:
    """Models that take turns.

    Attributes:
        title: what is compared.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        builders: what makes each model, by its name.
        compiled: names of those whose pyramid and self-reconstruction are compiled.
    """

    title: str
    precision: str
    builders: Mapping[str, Build]
    compiled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """The conditions of all comparisons.

    Attributes:
        device: where the models run.
        width, height: of the images in pixels.
        batch: images a pass.
        runs: timed passes of each model.
        beside: ResNet of the two systems that stand beside torchvision's.
        backbone: of all other detectors.
        quick: everything as small as it can be.
    """

    device: torch.device
    width: int
    height: int
    batch: int
    runs: int
    beside: str
    backbone: str
    quick: bool

    def images(self) -> list[Tensor]:
        """Noise, the same for all models."""
        generator = torch.Generator().manual_seed(0)
        shape = (3, self.height, self.width)
        return [torch.rand(shape, generator=generator).to(self.device) for _ in range(self.batch)]

    def targets(self, first_label: int) -> list[dict[str, Tensor]]:
        """Boxes of 8 to 32 pixels of one class in each image."""
        generator = torch.Generator().manual_seed(1)
        room = torch.tensor([self.width - 32.0, self.height - 32.0])
        targets = []
        for _ in range(self.batch):
            corners = torch.rand(OBJECTS, 2, generator=generator) * room
            sides = 8 + 24 * torch.rand(OBJECTS, 2, generator=generator)
            boxes = torch.cat([corners, corners + sides], dim=1).to(self.device)
            labels = torch.full((OBJECTS,), first_label, device=self.device)
            targets.append({"boxes": boxes, "labels": labels})
        return targets


def main() -> int:
    """Run the command."""
    options = _options()
    setting = _setting(options)
    if options.quick:
        torch.set_num_threads(1)
    end = time.monotonic() + 60 * options.minutes
    planned = [own for own in comparisons(setting) if not options.beside or "torchvision" in own.builders]
    rows, left_out = measure_all(planned, setting, end)
    result = provenance(setting.device.type) | {
        "device": setting.device.type,
        "setting": asdict(setting) | {"device": str(setting.device)},
        "rows": rows,
        "left_out": left_out,
    }
    if options.output is not None:
        write_json(options.output, result, indent=2)
    failed = [row for row in rows if "error" in row]
    _say(f"{len(rows)} rows, {len(failed)} of them failed; left out: {len(left_out)} comparisons")
    return 1 if failed else 0


def comparisons(setting: Setting) -> Iterator[Comparison]:
    """Every comparison, the most telling first."""
    for system in ("faster-rcnn", "retinanet"):
        for precision in ("fp32", "bf16"):
            pair = {
                "srtod": _ours(system, "none", setting, setting.beside),
                "torchvision": _theirs(system, setting),
            }
            yield Comparison(f"{system} beside torchvision's", precision, pair)
    for precision in ("fp32", "bf16"):
        for system in SYSTEMS:
            yield Comparison(system, precision, {head: _ours(system, head, setting) for head in HEADS})
    for system in SYSTEMS:
        lite = _ours(system, "lite", setting)
        yield Comparison(
            f"{system} compiled", "bf16", {"lite": lite, "lite compiled": lite}, ("lite compiled",)
        )
    for system in SYSTEMS:
        yield Comparison(system, "fp16", {head: _ours(system, head, setting) for head in HEADS[:2]})


def measure_all(
    planned: list[Comparison], setting: Setting, end: float
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Measure until the time is over: rows, and what is left out and why."""
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    longest = {True: COMPILING, False: 0.0}
    for number, comparison in enumerate(planned, 1):
        name = {"comparison": comparison.title, "precision": comparison.precision}
        compiles = bool(comparison.compiled)
        late = time.monotonic() + longest[compiles] > end
        if late or (setting.device.type == "cpu" and (compiles or comparison.precision != "fp32")):
            left_out.append(name | {"why": "no time left" if late else "on a GPU only"})
            continue
        start = time.monotonic()
        for mode in MODES:
            _say(f"{number} of {len(planned)}: {comparison.title}, {comparison.precision}, {mode}")
            rows += [name | row for row in measure(comparison, mode, setting)]
        took = time.monotonic() - start
        longest[compiles] = took if longest[compiles] == COMPILING else max(took, longest[compiles])
    return rows, left_out


def measure(comparison: Comparison, mode: Mode, setting: Setting) -> list[dict[str, Any]]:
    """Rows of the models of a comparison; one that fails has a row that says so, the others go on."""
    rows: dict[str, dict[str, Any]] = {}
    passes: dict[str, Callable[[], None]] = {}
    for name, build in comparison.builders.items():
        rows[name] = {"model": name, "mode": mode}
        try:
            work = _pass(build(), comparison, name, mode, setting)
            for _ in range(1 if setting.quick else 3):
                work()
            rows[name] |= {"peak_gib": _peak(work, setting.device), **_waits(work, setting.device)}
            passes[name] = work
        except Exception as error:
            rows[name]["error"] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    times: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(setting.runs):
        for name, work in passes.items():
            times[name].append(_seconds(work, setting.device))
    first = next(iter(times.values()), [])
    for name, own in times.items():
        rows[name] |= {
            "milliseconds": round(1e3 * statistics.median(own), 3),
            "fastest": round(1e3 * min(own), 3),
            "images_per_second": round(setting.batch / statistics.median(own), 2),
            "times_first": round(statistics.median(b / a for a, b in zip(first, own, strict=True)), 3),
        }
    for row in rows.values():
        _say(
            "  " + ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("mode", "places"))
        )
    return list(rows.values())


def _pass(
    model: nn.Module, comparison: Comparison, name: str, mode: Mode, setting: Setting
) -> Callable[[], None]:
    """One step of training, or one pass over the images, as a function."""
    model = model.to(setting.device).train(mode == "training")
    if name in comparison.compiled:
        for part in ("pyramid", "self_reconstruction"):
            model.get_submodule(part).compile()
    images, targets = setting.images(), setting.targets(first_label=1 if name == "torchvision" else 0)
    scaler = torch.amp.GradScaler(setting.device.type, enabled=comparison.precision == "fp16")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-6, momentum=0.9)

    def train() -> None:
        with in_precision(comparison.precision, setting.device):
            losses = model(images, targets)
        scaler.scale(torch.stack(list(losses.values())).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    @torch.inference_mode()
    def detect() -> None:
        with in_precision(comparison.precision, setting.device):
            model(images)

    return train if mode == "training" else detect


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak(work: Callable[[], None], device: torch.device) -> float | None:
    """GiB that the pass allocates on top of what the models hold; None on a CPU."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return round((torch.cuda.max_memory_allocated() - before) / 2**30, 3)


def waits(work: Callable[[], None]) -> list[str]:
    """Run a pass on a GPU and return the lines (file:number) at which the host waited, as CUDA counts it."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    told = [own for own in caught if "synchronizing" in str(own.message)]
    return [f"{Path(own.filename).name}:{own.lineno}" for own in told]


def _waits(work: Callable[[], None], device: torch.device) -> dict[str, Any]:
    """How often a pass waits for the GPU, and at which lines; none on a CPU."""
    if device.type != "cuda":
        return {"waits": None}
    lines = waits(work)
    return {"waits": len(lines), "places": dict(Counter(lines).most_common())}


def _ours(system: str, head: str, setting: Setting, backbone: str | None = None) -> Build:
    def build() -> nn.Module:
        torch.manual_seed(0)
        kept = {"pyramid_channels", "box_channels"} if backbone else set()  # torchvision's are as many
        given: dict[str, Any] = {
            name: own for name, own in QUICK.items() if setting.quick and name not in kept
        }
        return build_detector(
            system,
            num_classes=1,
            backbone=backbone or setting.backbone,
            self_reconstruction=False if head == "none" else {"head": head},
            norm_eval=True,
            frozen_stages=1,
            score_threshold=0.0,
            detections_per_image=100,
            **{name: own for name, own in given.items() if name in SYSTEMS[system].model_fields},
        )

    return build


def _theirs(system: str, setting: Setting) -> Build:
    """Torchvision's detector on the same ResNet, with as many candidates and the same layers frozen."""
    sides = {"min_size": min(setting.width, setting.height), "max_size": max(setting.width, setting.height)}
    body = {"weights": None, "norm_layer": FrozenBatchNorm2d, "trainable_layers": 3}
    few = {
        "rpn_post_nms_top_n_train": 100,
        "rpn_post_nms_top_n_test": 50,
        "rpn_batch_size_per_image": 32,
        "box_batch_size_per_image": 32,
    }

    def faster_rcnn() -> nn.Module:
        backbone = resnet_fpn_backbone(backbone_name=setting.beside, **body)
        return FasterRCNN(
            backbone, num_classes=2, box_score_thresh=0.0, **sides, **(few if setting.quick else {})
        )

    def retinanet() -> nn.Module:
        coarser = LastLevelP6P7(_last_channels(setting.beside), 256)
        backbone = resnet_fpn_backbone(
            backbone_name=setting.beside, returned_layers=[2, 3, 4], extra_blocks=coarser, **body
        )
        return RetinaNet(backbone, num_classes=2, score_thresh=0.0, detections_per_img=100, **sides)

    return faster_rcnn if system == "faster-rcnn" else retinanet


def _last_channels(resnet: str) -> int:
    return 512 if resnet == "resnet18" else 2048


def _setting(options: argparse.Namespace) -> Setting:
    device = choose_device(options.device, among=("auto", "cpu", "cuda"))
    width, height = parse_size(options.size or ("64x64" if options.quick else "800x800"))
    return Setting(
        device=device,
        width=width,
        height=height,
        batch=options.batch,
        runs=1 if options.quick else 10,
        beside="resnet18" if options.quick else "resnet50",
        backbone="test_resnet" if options.quick else "resnet50",
        quick=options.quick,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--size", help="width x height in pixels; default 800x800, with --quick 64x64")
    parser.add_argument("--batch", type=int, default=2, help="images a pass")
    parser.add_argument("--quick", action="store_true", help="tiny models and images: whether it runs at all")
    parser.add_argument("--beside", action="store_true", help="only what stands beside torchvision's")
    parser.add_argument("--minutes", type=float, default=10.0, help="start nothing that would end later")
    parser.add_argument("--output", type=Path, help="JSON file of the result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
