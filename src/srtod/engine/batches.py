"""Which images make which step, and their loading."""

import signal
from collections.abc import Generator
from typing import Any, cast

import numpy as np
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srtod.data.dataset import DetectionDataset, SampleTarget, collate
from srtod.recipes import TrainRecipe
from srtod.support.errors import InputError, SrtodError

Batch = tuple[list[Tensor], list[SampleTarget]]


class Batches:
    """The training images in steps.

    The order is a function of seed and epoch alone. Each step takes ``batch_size`` images, whatever the
    number of processes and accumulation steps they are spread over; the last step of an epoch is filled up
    with images from the epoch's beginning.

    Args:
        dataset: the images; its ``set_epoch`` is called before each epoch.
        recipe: batch size, accumulation, seed and workers.
        accelerator: how many training processes there are, which one this is, and its device.

    Attributes:
        steps_per_epoch: optimizer steps.
        per_pass: images of one forward pass of one process.

    Raises:
        InputError: the batch cannot be split evenly over processes and accumulation steps.
    """

    def __init__(self, dataset: DetectionDataset, recipe: TrainRecipe, accelerator: Accelerator) -> None:
        self.dataset, self.recipe, self.device = dataset, recipe, accelerator.device
        self.processes, self.rank = accelerator.num_processes, accelerator.process_index
        self.steps_per_epoch = -(-len(dataset) // recipe.batch_size)
        self.per_pass, rest = divmod(recipe.batch_size, recipe.accumulation * self.processes)
        if rest:
            raise InputError(
                f"train.batch_size {recipe.batch_size} cannot be split over {self.processes} processes and "
                f"train.accumulation {recipe.accumulation}; make it a multiple of their product"
            )

    def indices(self, epoch: int) -> list[list[list[int]]]:
        """Return this process's images of an epoch: a list a step of a list a pass of dataset indices."""
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.dataset))
        filled = np.resize(order, self.steps_per_epoch * self.recipe.batch_size)
        shape = (self.steps_per_epoch, self.recipe.accumulation, self.processes, self.per_pass)
        return filled.reshape(shape)[:, :, self.rank].tolist()

    def epoch(self, epoch: int, first_step: int = 0) -> Generator[list[Batch]]:
        """Yield the batches of each step of an epoch, one a pass, from step ``first_step`` of the epoch on.

        Close it if it is not used up, or its workers take their time to end.

        Raises:
            SrtodError: whatever the dataset raises, with its own message also where a worker met it.
        """
        self.dataset.set_epoch(epoch)
        steps = self.indices(epoch)[first_step:]
        loader = iter(self._loader([one_pass for step in steps for one_pass in step]))
        for _ in steps:
            yield [self._to_device(next(loader)) for _ in range(self.recipe.accumulation)]

    def _loader(self, batches: list[list[int]]) -> DataLoader[Any]:
        return DataLoader(
            _Guarded(self.dataset),
            batch_sampler=batches,
            collate_fn=_collate,
            num_workers=self.recipe.workers,
            worker_init_fn=_leave_signals_to_the_trainer,
            pin_memory=self.device.type == "cuda",
        )

    def _to_device(self, batch: Batch | SrtodError) -> Batch:
        if isinstance(batch, SrtodError):
            # A new one: an exception raised from its own variable is a cycle that keeps the workers waiting.
            raise type(batch)(*batch.args)
        images, targets = batch
        return (
            [self._moved(image) for image in images],
            [cast("SampleTarget", {key: self._moved(value) for key, value in t.items()}) for t in targets],
        )

    def _moved(self, value: Any) -> Any:
        return value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value


class _Guarded(Dataset[Any]):
    """Hands errors over as values: torch would bury a worker's message in a traceback."""

    def __init__(self, dataset: DetectionDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except SrtodError as error:
            return error


def _collate(items: list[Any]) -> Batch | SrtodError:
    error = next((item for item in items if isinstance(item, SrtodError)), None)
    return error or collate(items)


def _leave_signals_to_the_trainer(_worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the step under way still needs its images."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
