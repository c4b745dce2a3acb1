import pytest
import torch

from srtod.detectors.preprocess import Preprocess
from srtod.recipes import load_recipe
from srtod.support.errors import InputError


def test_a_factor_enlarges_a_piece_as_it_does_the_whole_image():
    for height, width in ((40, 64), (20, 20)):
        batch = Preprocess(resize=2.0)([torch.rand(3, height, width)])
        assert batch.sizes == ((2 * height, 2 * width),)
        assert batch.scales == ((2, 2),)


def test_bounds_keep_the_ratio():
    assert Preprocess(resize=(128, 64))([torch.rand(3, 32, 32)]).sizes == ((64, 64),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("resize=9", "model.resize: input should be less than or equal to 4, not 9"),
        ("resize=[640]", "model.resize.1: field required"),
        ("anchor_scale=-1", "model.anchor_scale.0: input should be greater than 0, not -1"),
    ],
)
def test_a_value_of_one_of_several_types_is_refused_in_plain_words(change, says):
    with pytest.raises(InputError) as caught:
        load_recipe("small", [f"model.{change}"])
    assert says in str(caught.value)
