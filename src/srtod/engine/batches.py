"""Which images make which step, and their loading."""

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from srtod.data.dataset import DetectionDataset, SampleTarget
from srtod.data.loading import Batch, Loader, sound
from srtod.engine.sampling import repeat_factors, repeated
from srtod.recipes import TrainRecipe
from srtod.support.errors import InputError, SrtodError


class Batches:
    """The training images in steps.

    The order is a function of seed and epoch alone. Each step takes ``batch_size`` images, whatever the
    number of processes and accumulation steps they are spread over; the last step of an epoch is filled up
    with images from the epoch's beginning, which are augmented anew.

    Args:
        dataset: the images; its ``set_epoch`` is called before each epoch.
        recipe: batch size, accumulation, seed and workers.
        accelerator: how many training processes there are, which one this is, and its device.

    Attributes:
        steps_per_epoch: optimizer steps.
        per_pass: images of one forward pass of one process.
        error: why a batch of this process, one of several, could not be read.

    Raises:
        InputError: the batch cannot be split evenly over processes and accumulation steps.
    """

    def __init__(self, dataset: DetectionDataset, recipe: TrainRecipe, accelerator: Accelerator) -> None:
        self.dataset, self.recipe = dataset, recipe
        self.error: SrtodError | None = None
        self.processes, self.rank = accelerator.num_processes, accelerator.process_index
        self._factors = repeat_factors(dataset.records, recipe.repeat_below)
        self.steps_per_epoch = math.ceil(round(self._factors.sum(), 6) / recipe.batch_size)
        self.per_pass, rest = divmod(recipe.batch_size, recipe.accumulation * self.processes)
        if rest:
            raise InputError(
                f"train.batch_size {recipe.batch_size} cannot be split over {self.processes} processes and "
                f"train.accumulation {recipe.accumulation}; make it a multiple of their product"
            )

        self._loader = Loader(dataset, workers=recipe.workers, device=accelerator.device)

    def indices(self, epoch: int) -> list[list[list[int]]]:
        """Return this process's images of an epoch: a list a step of a list a pass of dataset indices."""
        items = repeated(self._factors, np.random.default_rng((self.recipe.seed, epoch, 1)))
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(items)
        again, place = np.divmod(np.arange(self.steps_per_epoch * self.recipe.batch_size), len(order))
        count = len(self.dataset)
        filled = order[place] + again * (order.max() // count + 1) * count  # copies that are not there yet
        shape = (self.steps_per_epoch, self.recipe.accumulation, self.processes, self.per_pass)
        return filled.reshape(shape)[:, :, self.rank].tolist()

    def epoch(self, epoch: int, first_step: int = 0) -> Generator[list[Batch]]:
        """Yield the batches of each step of an epoch, one a pass, from step ``first_step`` of the epoch on.

        Where this process is one of several, it may not leave the others waiting: a batch that cannot be read
        is replaced by black images, and :attr:`error` says why.

        Raises:
            SrtodError: whatever the dataset raises, with its own message, where there is no other process.
        """
        self.dataset.set_epoch(epoch)
        steps = self.indices(epoch)[first_step:]
        loaded = self._loader.load([one_pass for step in steps for one_pass in step])
        for _ in steps:
            yield [self._batch(next(loaded)) for _ in range(self.recipe.accumulation)]

    def close(self) -> None:
        """End the processes that read."""
        self._loader.close()

    def _batch(self, items: list[Any]) -> Batch:
        try:
            return Batch.of(sound(items))
        except SrtodError as error:
            if self.processes == 1:
                raise
            self.error = error.with_traceback(None)
            return Batch.of([_black_sample() for _ in items])


def _black_sample() -> tuple[Tensor, SampleTarget]:
    """A sample to take part in a step with, when there is none."""
    nothing: SampleTarget = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "ignore": torch.zeros(0, dtype=torch.bool),
        "image_id": "(none)",
        "seed": 0,
    }
    return torch.zeros(3, 64, 64, dtype=torch.uint8), nothing
