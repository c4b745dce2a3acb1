import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from srtod.boxes.overlaps import gaussian_similarity


def gaussian(box):
    box = box.double()
    return MultivariateNormal((box[:2] + box[2:]) / 2, ((box[2:] - box[:2]) / 2).square().diag())


def test_similarity_is_that_of_the_boxs_gaussian_from_the_objects(random_boxes):
    objects, boxes = random_boxes(6), random_boxes(9, seed=1, sides=40.0)
    expected = torch.tensor(
        [[1 / (1 + kl_divergence(gaussian(box), gaussian(one))) for box in boxes] for one in objects]
    )
    torch.testing.assert_close(gaussian_similarity(objects, boxes), expected.float(), rtol=1e-4, atol=1e-6)


def test_similarity_is_one_for_equal_boxes_and_ranks_boxes_that_do_not_touch():
    one = torch.tensor([[10.0, 10, 20, 20]])
    others = torch.tensor([[10.0, 10, 20, 20], [25, 10, 35, 20], [45, 10, 55, 20]])
    equal, near, far = gaussian_similarity(one, others)[0].tolist()
    assert equal == pytest.approx(1)
    assert equal > near > far > 0
