"""How often the host of a GPU waits in a training step and in an inference, counted on the CPU."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import srtod
from srtod.heads import roi_align, roi_pooling

SYSTEMS = {
    "faster-rcnn": (6, 4),
    "cascade-rcnn": (6, 4),
    "rfla": (8, 4),
    "detectors": (6, 4),
    "tridentnet": (14, 4),
    "cascade-rpn": (4, 4),
    "retinanet": (4, 3),
    "atss": (4, 3),
    "dyhead": (4, 3),
}
"""Waits of a training step and of an inference of two images, with and without self-reconstruction."""

ONE_STAGE = {"retinanet", "atss", "dyhead"}


WAITING = {
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::equal",
    "aten::_unique",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::unique_consecutive",
    "aten::unique_dim_consecutive",
    "torchvision::nms",
    "srtod::grouped_nms",
}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class Waits(TorchDispatchMode):
    """Counts operations that need a value on the host.

    Attributes:
        counts: by the name of the operation; ``tolist`` are lists, which none shows.
        suppressing: within the suppression, which on a GPU waits once.
    """

    def __init__(self):
        super().__init__()
        self.counts, self.suppressing = Counter(), False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name
        if name in WAITING or _sized_by_values(name, args, kwargs) or _by_mask(name, args):
            self.counts[name] += 1
        self.suppressing = name == "srtod::grouped_nms"  # a GPU reads nothing within it
        try:
            return func(*args, **kwargs)
        finally:
            self.suppressing = False


def _sized_by_values(name, args, kwargs):
    return name == "aten::repeat_interleave" and kwargs.get("output_size") is None


def _by_mask(name, args):
    return name in INDEXING and any(
        index is not None and index.dtype in {torch.bool, torch.uint8} for index in args[1]
    )


@pytest.fixture
def waits(monkeypatch):
    """Counts the waits within it."""
    mode = Waits()
    read = torch.Tensor.tolist

    def counted(tensor):
        mode.counts["tolist"] += not mode.suppressing
        return read(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    monkeypatch.setattr(roi_pooling, "_host_waits", lambda device: True)  # features as a GPU cuts them
    monkeypatch.setattr(roi_align, "_by_matrices", lambda device: False)
    return mode


def scene():
    """Two images of different sizes with 30 objects each, and a region to ignore."""
    generator = torch.Generator().manual_seed(1)
    images, targets = [], []
    for height, width in ((96, 128), (128, 96)):
        corners = torch.rand(31, 2, generator=generator) * 80
        boxes = torch.cat([corners, corners + 3 + torch.rand(31, 2, generator=generator) * 12], dim=1)
        labels = torch.randint(0, 4, (31,), generator=generator)
        images.append(torch.rand(3, height, width, generator=generator))
        targets.append({"boxes": boxes, "labels": labels, "ignore": torch.arange(31) == 30, "seed": 3})
    return images, targets


def build(system, reconstructing):
    torch.manual_seed(0)
    residual = system in {"detectors", "tridentnet"}
    options = {} if system == "tridentnet" else {"pyramid_channels": 16}
    if system not in ONE_STAGE:
        options |= {"rpn_proposals": (64, 64), "box_samples": 32}
    backbone = "resnet18" if residual else "test_resnet"
    return srtod.build_detector(
        system, num_classes=4, backbone=backbone, self_reconstruction=reconstructing, **options
    )


@pytest.mark.parametrize("reconstructing", [False, True])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_host_waits_seldom(waits, system, reconstructing):
    detector, (images, targets) = build(system, reconstructing), scene()
    with waits:
        torch.stack(list(detector(images, targets).values())).sum().backward()
    training, waits.counts = waits.counts, Counter()
    detector.eval()
    with waits, torch.inference_mode():
        detector(images)
    assert (training.total(), waits.counts.total()) == SYSTEMS[system], (training, waits.counts)
    assert training.total() <= (8 if system in ONE_STAGE else 14)
    assert waits.counts.total() <= 6
