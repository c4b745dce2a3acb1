"""Records to tensors, one image at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from srtod.data.records import ImageRecord
from srtod.data.transforms import Transform
from srtod.types import Target

FALSE_ALARMS = 16
"""Places of an image where a detector took something for an object, that are kept at most."""


class SampleTarget(Target):
    """A target that knows where it is from; its ``seed`` comes from (seed, epoch, index) of the data set.

    Attributes:
        image_id: the record's.
    """

    image_id: int | str


class DetectionDataset(Dataset[tuple[Tensor, SampleTarget]]):
    """The images of a set with their boxes, read when asked for.

    ``dataset[i]`` is the image, uint8 ``[3, H, W]``, RGB, and its :class:`SampleTarget`. Regions to ignore of
    any class have the label 0, which is not read. What is sampled at random depends on (seed, epoch, index)
    alone, so neither on the worker nor on the process nor on the batch.

    Args:
        records: what to read.
        classes: names in label order.
        transform: augmentation, given a generator of the sample's own.
        seed: of the augmentation.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        *,
        classes: Sequence[str],
        transform: Transform | None = None,
        seed: int = 0,
    ) -> None:
        self.records = tuple(records)
        self.classes = tuple(classes)
        self.transform = transform
        self.seed = seed
        # In shared memory: workers that live for several epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._false_alarms: Tensor | None = None

    def expect_false_alarms(self) -> None:
        """Make room for them, before there are workers that are to see them."""
        self._false_alarms = torch.full((len(self), FALSE_ALARMS, 4), float("nan")).share_memory_()

    def set_false_alarms(self, places: Tensor) -> None:
        """Hand targets where a detector was wrong from now on, in this process and in its workers.

        Args:
            places: float ``[I, FALSE_ALARMS, 4]``, x1 y1 x2 y2 in pixels of each image, NaN where there are
                fewer.
        """
        assert self._false_alarms is not None, "expect_false_alarms comes first"
        self._false_alarms.copy_(places)

    def set_epoch(self, epoch: int) -> None:
        """Sample anew from now on, in this process and in its workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, SampleTarget]:
        """Read image ``index`` and what is marked in it; beyond the last, a copy with other chances.

        Raises:
            InputError: the image cannot be read or has another size than its record.
        """
        record = self.records[index % len(self.records)]
        image = torch.from_numpy(record.read()).permute(2, 0, 1)
        seed = derive_seed(self.seed, int(self._epoch), index)
        target: SampleTarget = {
            "boxes": torch.from_numpy(record.boxes).float(),
            "labels": torch.from_numpy(record.labels).clamp(min=0),
            "ignore": torch.from_numpy(record.ignore.copy()),
            "image_id": record.image_id,
            "seed": seed,
        }
        if self._false_alarms is not None:
            places = self._false_alarms[index % len(self.records)]
            target["false_alarms"] = places[~places[:, 0].isnan()]
        if self.transform is None:
            return image, target
        return self.transform(image, target, torch.Generator().manual_seed(seed))


def derive_seed(*numbers: int) -> int:
    """Mix whole numbers (not negative) into one seed of 63 bits; near numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
