"""What to train with, from the sizes of boxes and images: the rules, each with its reason in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from srtod.data.inspection import object_sizes
from srtod.data.records import AnnotatedSet
from srtod.defaults import DETECTIONS_PER_IMAGE

BASE = "small"
"""The recipe that the advice changes."""

BYTES_PER_PIXEL = 2_000
"""Memory of a training step by the pixels of its batch, after enlarging: 1,000 to 1,550 were measured for
levels of 64 and 256 channels on a CPU; the rest is for optimizer and cascades."""

STRIDES = (4, 8, 16, 32, 64)
"""Of the levels of the systems that are advised."""

_TINY = 16
"""Objects below so many pixels gain from enlarged images, and from copies of them."""
_FAR_APART = 32
"""Objects below so many pixels, as the detector sees them, may overlap no anchor by half."""
_REACH = 1.25
"""Anchors claim nine of ten of the smallest tenth, where their side is so many times its bound: measured
with the assigner of Faster R-CNN on TinyPerson and HIT-UAV (at 1.5, four and seven of ten)."""
_LEAST_SCALE = 1.5
"""Smaller anchors leave gaps: at 1 a tenth of TinyPerson's objects has none in any view; at 1.5, 2 %."""
_LEAST_LEARNED = 4
"""Objects below so many pixels, as the detector sees them, are claimed by few anchors of any size."""


@dataclass(frozen=True)
class Machine:
    """Where the training runs.

    Attributes:
        gpu: whether on a GPU.
        memory: bytes that are free, of the GPU or of the host.
        precision: in which a GPU is fast.
    """

    gpu: bool
    memory: int
    precision: Literal["bf16", "fp16"] = "bf16"

    @property
    def whole_pixels(self) -> float:
        """Pixels of the largest image that is looked at whole, after enlarging."""
        return 8.3e6 if self.gpu else 2.1e6

    @property
    def side(self) -> int:
        """Side of the pieces that are trained on, after enlarging."""
        return 1024 if self.gpu else 640

    @property
    def step_pixels(self) -> float:
        """Pixels of a batch, after enlarging: half the memory, and on a CPU a step of seconds."""
        by_memory = self.memory / 2 / BYTES_PER_PIXEL
        return by_memory if self.gpu else min(by_memory, 1.7e6)

    @property
    def steps(self) -> int:
        """Steps of a training."""
        return 12_000 if self.gpu else 4_000


@dataclass(frozen=True)
class Numbers:
    """What the advice is made from.

    Attributes:
        sizes: sqrt(area) of the objects in pixels, ``[N]``, without regions to ignore.
        sides: (height, width) of the images, ``[I, 2]``.
        counts: objects of each image, ``[I]``.
    """

    sizes: NDArray[np.float64]
    sides: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, annotated: AnnotatedSet) -> "Numbers":
        """Those of a set."""
        own = [record.boxes[~record.ignore] for record in annotated.records]
        return cls(
            sizes=object_sizes(np.concatenate([np.zeros((0, 4)), *own])),
            sides=np.array([(r.height, r.width) for r in annotated.records], dtype=np.int64).reshape(-1, 2),
            counts=np.array([len(boxes) for boxes in own], dtype=np.int64),
        )

    @property
    def largest(self) -> int:
        """Pixels of the largest image."""
        return int(self.sides.prod(axis=1).max())


class Setting(NamedTuple):
    """A key of a recipe, its value, and why."""

    key: str
    value: Any
    reason: str

    @property
    def text(self) -> str:
        """The value in YAML."""
        return yaml.safe_dump(self.value, default_flow_style=True).removesuffix("...\n").strip()


def advise(numbers: Numbers, machine: Machine) -> tuple[Setting, ...]:
    """Return the settings that fit a set, to be laid over the recipe :data:`BASE`; none without objects."""
    if not len(numbers.sizes):
        return ()
    factor = _factor(numbers, machine)
    side = machine.side // factor
    crop = side if numbers.sides.max() > 1.25 * side else None
    return (
        *_model(numbers, machine, factor),
        *_pieces(numbers, factor, crop),
        *_train(numbers, machine, factor, crop),
    )


def anchor_scales(sizes: NDArray[np.float64], strides: Sequence[int]) -> tuple[float, ...]:
    """Choose the scales of anchors, in units of the level's stride, rounded to quarters.

    On a pyramid one: the finest level's anchors are as large as the median object, or smaller where the
    smallest tenth could not claim them; coarser levels take the larger ones. On a single level three:
    for the smallest tenth, the median and the largest tenth.

    Args:
        sizes: sqrt(area) of the objects in pixels, as the detector sees them, ``[N]``, N at least 1.
        strides: of the levels.
    """
    low, median, high = (float(size) / strides[0] for size in np.quantile(sizes, [0.1, 0.5, 0.9]))
    if len(strides) == 1:
        return tuple(sorted({max(round(4 * scale) / 4, 0.25) for scale in (low, median, high)}))
    return (max(round(4 * min(median, _REACH * low)) / 4, _LEAST_SCALE),)


def advice_text(settings: Sequence[Setting]) -> str:
    """Return settings as a recipe in YAML, the reason above each key."""
    lines = [f"base: {BASE}"]
    for section, group in groupby(settings, lambda setting: setting.key.partition(".")[0]):
        lines.append(f"{section}:")
        for setting in group:
            lines += [f"  # {setting.reason}", f"  {setting.key.partition('.')[2]}: {setting.text}"]
    return "\n".join(lines) + "\n"


def slice_to_predict_in(numbers: Numbers, machine: Machine, settings: Sequence[Setting]) -> int | None:
    """Return the side of the slices to predict in, in pixels of the image; None: take images whole."""
    values = {setting.key: setting.value for setting in settings}
    enlarged = numbers.largest * (values["model.resize"] or 1) ** 2
    return values["data.crop"] if enlarged > machine.whole_pixels else None


def _factor(numbers: Numbers, machine: Machine) -> int:
    small = np.median(numbers.sizes) < _TINY
    return 2 if small and 4 * numbers.largest <= machine.whole_pixels else 1


def _model(numbers: Numbers, machine: Machine, factor: int) -> Iterator[Setting]:
    sizes = numbers.sizes * factor
    low, median = np.quantile(sizes, [0.1, 0.5])
    if low >= _LEAST_LEARNED:
        (scale,) = anchor_scales(sizes, STRIDES)
        yield Setting(
            "model.system", "faster-rcnn", "learns from few images; its anchors reach the smallest objects"
        )
        yield Setting(
            "model.anchor_scale",
            "auto",
            f"{scale:g} here, squares of {scale * STRIDES[0]:g} px on the finest level: as the detector "
            f"sees them the median object has {median:.1f} px, a tenth {low:.1f} px or less",
        )
        if median < _FAR_APART:
            yield Setting(
                "model.rpn_nwd",
                round(float(sizes.mean())),
                "the mean size: objects take near anchors that they hardly overlap, too (1.5 AP on swarms)",
            )
    else:
        yield Setting(
            "model.system",
            "rfla",
            f"a tenth of the objects has {low:.1f} px or less, where few overlap any anchor enough; "
            "here each takes the nearest",
        )
        yield Setting("model.anchor_scale", None, "receptive fields in place of scales")
    yield Setting("model.resize", factor if factor > 1 else None, _why_factor(numbers, machine, factor))
    found = min(max(100, 100 * math.ceil(1.5 * int(numbers.counts.max()) / 100)), DETECTIONS_PER_IMAGE)
    yield Setting(
        "model.detections_per_image",
        found,
        f"half as many again as the {int(numbers.counts.max()):,} objects of the densest image, at most "
        f"{DETECTIONS_PER_IMAGE:,}",
    )
    proposals = max(found, 1000 if machine.gpu else 300)
    yield Setting("model.rpn_proposals", [proposals, proposals], "no fewer than detections")
    if not machine.gpu:
        yield Setting(
            "model.pyramid_channels", 64, "thin levels: a step takes 3.4 s on a CPU in place of 15 with 256"
        )
        yield Setting("model.box_channels", 256, "likewise")


def _why_factor(numbers: Numbers, machine: Machine, factor: int) -> str:
    median = float(np.median(numbers.sizes))
    if factor > 1:
        return (
            f"twice as large: half of the objects are below {median:.1f} px (640 px to 1600 gave PP-YOLOE "
            "12.7 AP on VisDrone)"
        )
    if median >= _TINY:
        return f"as they are: the median object has {median:.1f} px"
    return (
        f"as they are: enlarged, an image would have {4 * numbers.largest / 1e6:.1f} million pixels, "
        f"{'a GPU' if machine.gpu else 'a CPU'} takes {machine.whole_pixels / 1e6:.1f}"
    )


def _pieces(numbers: Numbers, factor: int, crop: int | None) -> Iterator[Setting]:
    if np.median(numbers.sizes) < _TINY:
        yield Setting("data.paste", 8, "up to so many copies of a piece's small objects (1.2 AP on swarms)")
    if crop is None:
        yield Setting("data.crop", None, f"whole images: their longest side is {numbers.sides.max():,} px")
        return
    enlarged = f", {crop * factor} when enlarged" if factor > 1 else ""
    yield Setting(
        "data.crop", crop, f"pieces of {crop} px{enlarged}: seconds and memory of a step have a bound"
    )


def _train(numbers: Numbers, machine: Machine, factor: int, crop: int | None) -> Iterator[Setting]:
    piece = int(numbers.sides.clip(max=crop or numbers.sides.max()).prod(axis=1).max()) * factor**2
    most = min(machine.step_pixels / piece, len(numbers.counts))
    batch = next((number for number in (8, 4, 2) if number <= most), 1)
    epochs = min(max(math.ceil(machine.steps * batch / len(numbers.counts)), 6), 200)
    yield Setting(
        "train.batch_size",
        batch,
        f"{batch * piece / 1e6:.1f} million pixels a step, {batch * piece * BYTES_PER_PIXEL / 1e9:.1f} GB",
    )
    yield Setting("train.epochs", epochs, f"about {machine.steps:,} steps, in 6 to 200 epochs")
    yield Setting("train.evaluate_every", max(1, epochs // 12), "a dozen evaluations in all")
    if machine.gpu:
        yield Setting("train.precision", machine.precision, "faster on a GPU")
