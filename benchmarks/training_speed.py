"""Where the time of a training step goes, and torchvision's Faster R-CNN in turns with ours.

    uv run benchmarks/training_speed.py DATA [--recipe small --set KEY=VALUE] [--steps 10] [--json FILE]

Steps read their images in this process, so that reading and augmentation are in them. The seconds of a part
are its own: those of a part inside it, as the assignment inside the head, are not counted twice. The detector
of torchvision has this one's pyramid, proposals and samples, and takes the same images at the same size; both
do the same steps (forward, backward, optimizer) in turns, and the ratio is the median over these.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from srtod.data.loading import Batch
from srtod.data.records import ImageRecord
from srtod.data.transforms import Compose
from srtod.detectors.detector import Detector
from srtod.engine.anchors import with_anchor_scale
from srtod.engine.batches import Batches
from srtod.engine.schedule import build_optimizer, learning_rate
from srtod.engine.sets import Source, training_split
from srtod.engine.setup import new_detector, start_accelerator, start_run, training_dataset
from srtod.engine.step import Steps
from srtod.recipes import Recipe, load_recipe
from srtod.support.files import write_json
from srtod.support.provenance import provenance

OTHER = "rest of the step"


class Clock:
    """Seconds of each part without those of the parts inside it."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._open, self._since = device, list[str](), 0.0

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        """Count what happens inside as this part."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Count a method of an object, or of all objects of a class, as a part."""
        called: Callable[..., Any] = getattr(owner, method)

        @wraps(called)
        def counted(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return called(*args, **options)

        setattr(owner, method, counted)

    def _turn(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


class _Levels(nn.Module):
    """A pyramid as torchvision's detectors take it."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.pyramid, self.out_channels = detector.pyramid, detector.pyramid.channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {str(number): level for number, level in enumerate(self.pyramid(images))}


def theirs(detector: Detector, size: tuple[int, int]) -> FasterRCNN:
    """Faster R-CNN as torchvision has it, on the pyramid of ours, for images of one size (height, width)."""
    config, strides = detector.config, detector.pyramid.strides
    scales, ratios = config["anchor_scale"], config["anchor_ratios"] or (0.5, 1.0, 2.0)
    channels = detector.pyramid.channels
    return FasterRCNN(
        _Levels(detector),
        min_size=min(size),
        max_size=max(size),
        rpn_anchor_generator=AnchorGenerator(
            tuple(tuple(scale * stride for scale in scales) for stride in strides),
            tuple(tuple(ratios) for _ in strides),
        ),
        box_roi_pool=MultiScaleRoIAlign(
            [str(number) for number in range(4)], output_size=7, sampling_ratio=2
        ),
        box_head=TwoMLPHead(channels * 49, config["box_channels"]),
        box_predictor=FastRCNNPredictor(config["box_channels"], len(detector.classes) + 1),
        rpn_pre_nms_top_n_train=(config["rpn_candidates"] or config["rpn_proposals"])[0],
        rpn_post_nms_top_n_train=config["rpn_proposals"][0],
        rpn_batch_size_per_image=config["rpn_samples"],
        box_batch_size_per_image=config["box_samples"],
    )


def beside(
    detector: Detector, recipe: Recipe, batches: list[Batch], device: torch.device
) -> dict[str, float]:
    """Images a second of both, and the median of ours in shares of theirs."""
    size = batches[0].images[0].shape[-2:]
    other = theirs(detector, (size[0], size[1])).to(device).train()
    detector.train()
    learning = {
        "srtod": (detector, build_optimizer(detector, recipe.train), 0),
        "torchvision": (other, build_optimizer(other, recipe.train), 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in learning}
    for batch in batches:
        for name, (model, optimizer, first_label) in learning.items():
            images = [image.to(device).float() / 255 for image in batch.images]
            targets = [_plain(target, first_label, device) for target in batch.targets]
            begun = time.perf_counter()
            losses = model(images, targets)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - begun)
    rates = {name: recipe.train.batch_size / statistics.median(own[1:]) for name, own in seconds.items()}
    pairs = zip(seconds["srtod"][1:], seconds["torchvision"][1:], strict=True)
    return rates | {"ratio": statistics.median(second / first for first, second in pairs)}


def _plain(target: Any, first_label: int, device: torch.device) -> dict[str, Tensor]:
    counted = ~target["ignore"]
    return {
        "boxes": target["boxes"][counted].to(device),
        "labels": (target["labels"][counted] + first_label).to(device),
    }


def watched(detector: Detector, clock: Clock) -> None:
    """Let a clock count the parts of a detector's forward pass, and of reading."""
    clock.watch(ImageRecord, "read", "reading")
    clock.watch(Compose, "__call__", "augmentation")
    clock.watch(detector.preprocess, "forward", "preprocessing")
    clock.watch(detector.pyramid, "forward", "backbone and pyramid")
    if detector.self_reconstruction is not None:
        clock.watch(detector.self_reconstruction, "forward", "self-reconstruction")
        clock.watch(detector.self_reconstruction, "losses", "self-reconstruction")
    clock.watch(detector.head, "loss", "head and losses")
    assigners = {type(own) for part in detector.modules() if (own := getattr(part, "assigner", None))}
    for kind in assigners:
        clock.watch(kind, "__call__", "assignment")


def main() -> int:
    """Run the benchmark; returns an exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    source = Source(asked.data)
    train_set = source.read(training_split(source))
    recipe = load_recipe(asked.recipe, [*asked.overrides, "train.workers=0"])
    recipe = with_anchor_scale(recipe, train_set.records)
    with tempfile.TemporaryDirectory() as folder:
        accelerator = start_accelerator(recipe.train, asked.device, Path(folder))
        dataset, data = training_dataset(recipe, train_set, None)
        batches = Batches(dataset, recipe.train, accelerator)
        detector = new_detector(recipe, train_set.classes, None)
        run = start_run(accelerator, recipe, detector, output=Path(folder), data=data, init=None, state=None)
        steps, clock = Steps(run, recipe.train), Clock(accelerator.device)
        run.model.train()
        passes = (own for epoch in itertools.count() for own in batches.epoch(epoch))
        kept: list[Batch] = [next(passes)[0]]
        steps.step(kept, learning_rate(recipe.train, 0, batches.steps_per_epoch))  # the first one warms up
        steps.read(stop=False, error=None)
        watched(detector, clock)
        clock.watch(accelerator, "backward", "backward")
        clock.watch(run.optimizer, "step", "optimizer")
        begun = time.perf_counter()
        for _ in range(asked.steps):
            with clock.part("rest of loading"):
                kept.append(next(passes)[0])
            with clock.part(OTHER):
                steps.step(kept[-1:], learning_rate(recipe.train, run.step, batches.steps_per_epoch))
                steps.read(stop=False, error=None)
        total = time.perf_counter() - begun
        passes.close()
    parts = {name: seconds / asked.steps for name, seconds in clock.seconds.items()}
    print(
        f"{1000 * total / asked.steps:.0f} ms a step of {recipe.train.batch_size} images\n", file=sys.stderr
    )
    print("| part | ms | share |\n|---|---|---|")
    for name, seconds in sorted(parts.items(), key=lambda own: -own[1]):
        print(f"| {name} | {1000 * seconds:.1f} | {asked.steps * seconds / total:.0%} |")
    result = provenance(asked.device) | {
        "batch_size": recipe.train.batch_size,
        "images_a_second": asked.steps * recipe.train.batch_size / total,
        "seconds_a_step": parts,
    }
    if recipe.model.system == "faster-rcnn":
        result["beside_torchvision"] = beside(detector, recipe, kept, accelerator.device)
        print("\n" + ", ".join(f"{name} {value:.2f}" for name, value in result["beside_torchvision"].items()))
    if asked.json is not None:
        write_json(asked.json, result, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
