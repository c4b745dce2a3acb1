from itertools import pairwise
from pathlib import Path

import pytest

from srtod import data
from srtod.recipes import load_recipe
from srtod.reproduce.reductions import share, shortened, steps_per_epoch


@pytest.fixture(scope="module")
def train_set(squares):
    return data.read(squares, split="train")


def names(annotated):
    return [record.file_name for record in annotated.records]


def test_milestones_shrink_with_the_epochs():
    recipe = load_recipe("visdrone-cascade-rcnn")
    assert shortened(recipe, None, 1000) == recipe
    assert shortened(recipe, 6, 1000).train.milestones == (4, 6)
    assert shortened(recipe, 1, 1000).train.milestones == (1, 1)


def test_the_warm_up_takes_a_tenth_of_the_steps_at_most():
    recipe = load_recipe("visdrone-cascade-rcnn")
    assert shortened(recipe, 12, 1000).train.warmup_steps == 500
    assert shortened(recipe, 2, 100).train.warmup_steps == 20


def test_a_smaller_share_lies_in_a_larger_one(train_set):
    shares = [names(share(train_set, fraction)) for fraction in (0.01, 0.25, 0.5, 1.0)]
    assert [len(own) for own in shares] == [1, 2, 4, 8]
    assert all(set(small) <= set(large) for small, large in pairwise(shares))
    assert shares[-1] == names(train_set)
    assert names(share(train_set, 0.5)) == shares[2] != names(train_set)[:4]


def test_steps_count_the_last_batch_too(train_set):
    recipe = load_recipe(Path(__file__).parents[1] / "engine" / "tiny.yaml", ["train.batch_size=3"])
    assert steps_per_epoch(recipe, train_set) == 3
