from itertools import pairwise
from pathlib import Path

import pytest

from srtod import data
from srtod.recipes import load_recipe
from srtod.reproduce.plan import RunPlan, read_plan, shortened, steps_per_epoch, subset
from srtod.support.errors import InputError
from srtod.support.files import write_json

ASKED, DATA = {"--epochs": 2, "--set": []}, {"name": "swarm", "train_images": 8}


@pytest.fixture
def output(tmp_path):
    plan = RunPlan(asked=ASKED, data=DATA, epochs=2).extended(["a"], 1)
    write_json(tmp_path / "out" / "plan.json", plan.model_dump(mode="json"))
    return tmp_path / "out"


def test_a_plan_comes_back_and_takes_further_rows_and_seeds(output):
    plan = read_plan(output, asked=ASKED, data=DATA)
    assert plan is not None and (plan.rows, plan.seeds) == (("a",), 1)
    more = plan.extended(["b", "a"], 3)
    assert (more.rows, more.seeds) == (("a", "b"), 3)
    assert more.extended(["b"], 2).seeds == 3


def test_other_options_are_told(output):
    with pytest.raises(InputError, match=r"plan.json: begun with --epochs 2, now it is 3; give the same, or"):
        read_plan(output, asked=ASKED | {"--epochs": 3}, data=DATA)


def test_other_data_are_told(output):
    with pytest.raises(InputError, match=r"begun with data: train_images 8, now it is 9"):
        read_plan(output, asked=ASKED, data=DATA | {"train_images": 9})


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty, and no plan.json"):
        read_plan(tmp_path, asked=ASKED, data=DATA)


def test_no_plan_yet(tmp_path):
    assert read_plan(tmp_path / "new", asked=ASKED, data=DATA) is None


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
    shares = [names(subset(train_set, fraction)) for fraction in (0.01, 0.25, 0.5, 1.0)]
    assert [len(own) for own in shares] == [1, 2, 4, 8]
    assert all(set(small) <= set(large) for small, large in pairwise(shares))
    assert shares[-1] == names(train_set)
    assert names(subset(train_set, 0.5)) == shares[2] != names(train_set)[:4]


def test_steps_count_the_last_batch_too(train_set):
    recipe = load_recipe(Path(__file__).parents[1] / "engine" / "tiny.yaml", ["train.batch_size=3"])
    assert steps_per_epoch(recipe, train_set) == 3
