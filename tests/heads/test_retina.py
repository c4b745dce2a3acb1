import pytest
import torch

from srtod.boxes.coders import DeltaCoder
from srtod.heads.dense import Matched
from srtod.heads.losses import averaged
from srtod.heads.retina import RetinaPredictor, delta_loss


def test_box_loss_is_the_l1_distance_of_the_deltas():
    found = Matched(
        anchors=torch.tensor([[0.0, 0, 8, 8], [0, 0, 4, 4]]),
        positive=torch.ones(1, 2, dtype=torch.bool),
        objects=torch.tensor([[[2.0, 0, 10, 8], [0, 0, 4, 4]]]),
        deltas=torch.tensor([[[0.0, 0, 0, 0.5], [0, -1, 0, 0]]]),
        quality=None,
        count=torch.tensor(2.0),
    )
    losses = averaged(delta_loss(found, DeltaCoder()))
    assert losses.keys() == {"loss_box"}
    assert losses["loss_box"].item() == pytest.approx((0.25 + 0.5 + 1) / 2)


def test_predictions_have_the_anchors_of_each_level():
    predictor = RetinaPredictor(channels=8, depth=1, per_cell=9, num_classes=3)
    predictions = predictor([torch.rand(2, 8, 4, 5), torch.rand(2, 8, 1, 1)])
    assert [tuple(level.logits.shape) for level in predictions] == [(2, 180, 3), (2, 9, 3)]
    assert [tuple(level.deltas.shape) for level in predictions] == [(2, 180, 4), (2, 9, 4)]
    assert all(level.quality is None for level in predictions)
    assert predictions[0].logits.detach().sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)
