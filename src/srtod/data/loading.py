"""Images in batches, decoded ahead by processes of their own: one loader for all that reads images."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srtod.data.dataset import SampleTarget
from srtod.support.devices import sent
from srtod.support.errors import SrtodError
from srtod.support.signals import serve_parent

MOST_WORKERS = 8
Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """Images and their targets, both on the host.

    No tuple: DistributedDataParallel would move what is in it to the device, where checks of targets wait.

    Attributes:
        images: uint8 ``[3, H, W]`` each, RGB, of any sizes; see :func:`on_device`.
        targets: one for each image.
    """

    images: list[Tensor]
    targets: list[SampleTarget]

    @classmethod
    def of(cls, samples: Sequence[tuple[Tensor, SampleTarget]]) -> "Batch":
        """Put samples of a :class:`~srtod.data.dataset.DetectionDataset` together."""
        images, targets = zip(*samples, strict=True)
        return cls(list(images), list(targets))


class Loader:
    """Reads items in batches of a given order, ahead of whoever uses them.

    Several orders may be asked for one after the other; the processes that read live on in between. Close it
    (or use it in a ``with`` block) to end them.

    Args:
        items: what is read; each process has a copy of it.
        workers: processes that read; None: as many as there are cores to spare; 0: this one reads.
        device: where the items go; for a GPU, tensors lie in pinned memory.
    """

    def __init__(self, items: Dataset[Any], *, workers: int | None = None, device: torch.device) -> None:
        self._order: list[list[int]] = []
        workers = spare_cores() if workers is None else workers
        self._loader: DataLoader[Any] | None = DataLoader(
            _Guarded(items),
            batch_sampler=self._order,
            collate_fn=list,
            num_workers=workers,
            persistent_workers=workers > 0,
            # Forked, they start at once; anew, each would import torch first.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            worker_init_fn=serve_parent,
            pin_memory=device.type == "cuda",
        )

    def load(self, batches: Sequence[Sequence[int]]) -> Iterator[list[Any]]:
        """Yield the items of each batch, in this order.

        Where an item cannot be read its :class:`~srtod.support.errors.SrtodError` stands in its place, to be
        raised or counted; :func:`sound` raises it.
        """
        self._order[:] = map(list, batches)
        if self._loader is not None:
            yield from self._loader

    def close(self) -> None:
        """End the processes that read."""
        self._loader = None

    def __enter__(self) -> "Loader":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def sound(items: Sequence[Item | SrtodError]) -> list[Item]:
    """Return items that were loaded.

    Raises:
        SrtodError: the first one that could not be read.
    """
    for item in items:
        if isinstance(item, SrtodError):
            # A new one: an exception raised from its own variable is a cycle that keeps the workers waiting.
            raise type(item)(*item.args)
    return [item for item in items if not isinstance(item, SrtodError)]


def on_device(images: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Send images, uint8 ``[3, H, W]``, to the device and return them as floats in 0..1 there."""
    return [sent(image, device).float().div_(255) for image in images]


def spare_cores() -> int:
    """How many processes can read beside this one, where others of torchrun's may share the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(0, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


class _Guarded(Dataset[Any]):
    """Hands errors over as values: torch would bury a worker's message in a traceback."""

    def __init__(self, items: Dataset[Any]) -> None:
        self.items = items

    def __getitem__(self, index: int) -> Any:
        try:
            return self.items[index]
        except SrtodError as error:
            return error
