import re
from typing import Any

import pytest
import torch

from srtod.data.dataset import DetectionDataset
from srtod.engine.batches import Batches
from srtod.support.errors import InputError


class Place:
    """Where a process stands among others."""

    device = torch.device("cpu")

    def __init__(self, rank, processes):
        self.process_index, self.num_processes = rank, processes


@pytest.fixture
def batches(squares, tiny_recipe):
    def made(*changes, rank: int = 0, processes: int = 1):
        dataset = DetectionDataset(squares.records, classes=squares.classes)
        place: Any = Place(rank, processes)
        return Batches(dataset, tiny_recipe(*changes).train, place)

    return made


def test_the_order_depends_on_seed_and_epoch_alone(batches):
    first = batches().indices(0)
    assert first == batches().indices(0)
    assert first != batches().indices(1)
    assert first != batches("train.seed=1").indices(0)
    assert sorted(index for step in first for one in step for index in one) == list(range(6))


def test_processes_share_out_the_same_images_of_each_step(batches):
    alone = batches().indices(3)
    shares = [batches(rank=rank, processes=2).indices(3) for rank in (0, 1)]
    accumulated = batches("train.accumulation=2").indices(3)
    for step in range(3):
        assert alone[step][0] == shares[0][step][0] + shares[1][step][0]
        assert alone[step][0] == accumulated[step][0] + accumulated[step][1]


def test_the_last_step_is_filled_up_from_the_beginning(batches):
    steps = batches("train.batch_size=4").indices(0)
    assert len(steps) == 2
    assert steps[1][0][2:] == [index + 6 for index in steps[0][0][:2]]


def test_fewer_images_than_a_step_takes_are_repeated(batches):
    (step,) = batches("train.batch_size=16").indices(0)
    assert {index % 6 for index in step[0]} == set(range(6))


def test_no_copy_is_augmented_as_another_one(batches):
    for changes in (("train.batch_size=16",), ("train.batch_size=16", "train.repeat_below=1")):
        made = batches(*changes)
        (step,) = made.indices(0)
        assert len(set(step[0])) == 16
        (passes,) = made.epoch(0)
        assert len({target["seed"] for batch in passes for target in batch.targets}) == 16


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_in_the_middle(batches, workers):
    made = batches(f"train.workers={workers}")
    whole = [[t["image_id"] for batch in step for t in batch.targets] for step in made.epoch(1)]
    rest = [[t["image_id"] for batch in step for t in batch.targets] for step in made.epoch(1, first_step=1)]
    assert rest == whole[1:]
    assert list(made.epoch(1, first_step=3)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_one_line_whoever_reads_it(batches, squares, workers):
    squares.records[3].path.write_bytes(b"no image")
    # Without "as": a name for the exception would keep the workers waiting.
    with pytest.raises(InputError, match=rf"^{re.escape(str(squares.records[3].path))}: [^\n]*$"):
        list(batches(f"train.workers={workers}").epoch(0))


def test_a_batch_that_cannot_be_split_is_told(batches):
    with pytest.raises(InputError, match="batch_size 2 cannot be split over 3 processes"):
        batches(processes=3)
