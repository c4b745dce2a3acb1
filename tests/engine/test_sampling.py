"""Images of rare classes come more often."""

from dataclasses import replace

import numpy as np
import pytest
from accelerate import PartialState

from srtod.data.dataset import DetectionDataset
from srtod.data.transforms import RandomFlip
from srtod.engine.batches import Batches
from srtod.engine.sampling import repeat_factors, repeated


@pytest.fixture
def rare(squares):
    """Six images of which one shows class 1 beside class 0, and one nothing."""
    records = list(squares.records)
    records[5] = replace(records[5], labels=np.array([0, 1, 0]))
    return tuple(records)


def test_factors_are_those_of_the_rarest_class_in_an_image(rare):
    assert repeat_factors(rare, 0.0) == pytest.approx(np.ones(6))
    assert repeat_factors(rare, 0.5) == pytest.approx([1, 1, 1, 1, 1, 3**0.5])
    hidden = (*rare[:5], replace(rare[5], ignore=np.array([False, True, False])))
    assert repeat_factors(hidden, 0.5) == pytest.approx(np.ones(6))


def test_over_epochs_images_come_as_often_as_their_factors_say():
    factors = np.array([1, 1.25, 2.5, 1, 3.7])
    epochs = [repeated(factors, np.random.default_rng(epoch)) for epoch in range(2000)]
    assert {len(items) for items in epochs} == {9, 10}  # the sum is 9.45
    assert all(len(set(items)) == len(items) for items in epochs)
    counts = np.bincount(np.concatenate(epochs) % 5) / len(epochs)
    assert counts == pytest.approx(factors, abs=0.05)


def test_a_copy_is_the_same_image_with_chances_of_its_own(rare):
    dataset = DetectionDataset(rare, classes=("a", "b"), transform=RandomFlip("horizontal", 0.5))
    own, copy = (dataset[index][1] for index in (5, 11))
    assert own["image_id"] == copy["image_id"]
    assert own["seed"] != copy["seed"]


def test_an_epoch_holds_every_image_and_copies_of_the_rare_one(rare, tiny_recipe):
    recipe = tiny_recipe("train.repeat_below=1", "train.batch_size=1").train
    dataset = DetectionDataset(rare, classes=("a", "b"))
    batches = Batches(dataset, recipe, PartialState(cpu=True))
    items = [index for step in batches.indices(0) for one in step for index in one]
    assert len(items) == batches.steps_per_epoch == 8  # 1 + 4 * sqrt(6 / 5) + sqrt(6), rounded up
    assert {index % 6 for index in items} == set(range(6))
    assert sum(index % 6 == 5 for index in items) in (2, 3)
    assert batches.indices(0) == batches.indices(0) != batches.indices(1)
