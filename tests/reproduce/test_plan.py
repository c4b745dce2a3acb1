import pytest

from srtod.reproduce.plan import Plan, read_plan
from srtod.support.errors import InputError

ASKED, DATA = {"--epochs": 2, "--set": []}, {"name": "swarm", "train_images": 8}


@pytest.fixture
def output(tmp_path):
    Plan(asked=ASKED, data=DATA, epochs=2).extended(["a"], 1).write(tmp_path / "out")
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
