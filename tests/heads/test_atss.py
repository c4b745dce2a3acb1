import pytest
import torch
import torch.nn.functional as F

from srtod.boxes.coders import DeltaCoder
from srtod.heads.atss import ATSSPredictor, centerness, giou_and_centerness_loss
from srtod.heads.dense import Matched
from srtod.heads.losses import averaged

CODER = DeltaCoder((0.1, 0.1, 0.2, 0.2))


def positives(anchors, objects, deltas=None, quality=None, count=2.0):
    anchors, objects = torch.tensor(anchors).reshape(-1, 4), torch.tensor(objects).reshape(-1, 4)
    return Matched(
        anchors=anchors,
        positive=torch.ones(1, len(anchors), dtype=torch.bool),
        objects=objects[None],
        deltas=torch.zeros(1, *anchors.shape) if deltas is None else deltas,
        quality=torch.zeros(1, len(anchors)) if quality is None else quality,
        count=torch.tensor(count),
    )


def test_centerness_is_one_in_the_middle_and_falls_to_the_edges():
    objects = torch.tensor([[0.0, 0, 8, 8]]).expand(3, 4)
    anchors = torch.tensor([[2.0, 2, 6, 6], [0.0, 2, 4, 6], [0.0, 0, 4, 4]])
    torch.testing.assert_close(centerness(anchors, objects), torch.tensor([1.0, (2 / 6) ** 0.5, 2 / 6]))


def test_losses_of_two_boxes_by_hand():
    # The first anchor is its object; the second is 4 of 8 px wide: GIoU 0.5, centerness sqrt(2 / 6).
    found = positives(
        [[0.0, 0, 8, 8], [0, 0, 4, 8]], [[0.0, 0, 8, 8], [0, 0, 8, 8]], quality=torch.tensor([[1.0, -1]])
    )
    losses = averaged(giou_and_centerness_loss(found, CODER))
    central = (2 / 6) ** 0.5
    assert losses["loss_box"].item() == pytest.approx(2 * 0.5 * central / (1 + central))
    entropy = F.binary_cross_entropy_with_logits(
        torch.tensor([1.0, -1]), torch.tensor([1.0, central]), reduction="sum"
    )
    assert losses["loss_centerness"].item() == pytest.approx(entropy.item() / 2)


def test_centerness_of_an_object_that_holds_no_centre_is_that_of_the_grown_one():
    # The centre, (4, 4), is 2 px beside the object of 2 px, which is taken for one of 8 px around (7, 4).
    found = positives([[-4.0, -4, 12, 12]], [[6.0, 3, 8, 5]], deltas=torch.zeros(1, 1, 4, requires_grad=True))
    losses = averaged(giou_and_centerness_loss(found, CODER, least_size=0.5))
    central = ((4 - 2.98) / (11.02 - 4)) ** 0.5
    expected = F.binary_cross_entropy_with_logits(torch.zeros(()), torch.tensor(central)).item()
    assert losses["loss_centerness"].item() == pytest.approx(expected / 2)
    losses["loss_box"].backward()
    assert found.deltas.grad.isfinite().all()
    assert found.deltas.grad.abs().sum() > 0


def test_boxes_beyond_the_image_are_not_clipped_so_that_they_are_pulled_back():
    deltas = torch.tensor([[[-300.0, 0, 0, 0]]], requires_grad=True)
    found = positives([[0.0, 0, 8, 8]], [[0.0, 0, 8, 8]], deltas=deltas)
    averaged(giou_and_centerness_loss(found, CODER))["loss_box"].backward()
    assert deltas.grad[0, 0, 0] < 0


def test_no_positives_give_no_loss_but_gradients():
    deltas, quality = torch.zeros(1, 0, 4, requires_grad=True), torch.zeros(1, 0, requires_grad=True)
    losses = averaged(giou_and_centerness_loss(positives([], [], deltas=deltas, quality=quality), CODER))
    assert all(loss.item() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert deltas.grad is not None
    assert quality.grad is not None


def test_a_predictor_without_quality_is_refused():
    with pytest.raises(ValueError, match="quality"):
        giou_and_centerness_loss(positives([], [])._replace(quality=None), CODER)


@pytest.mark.parametrize("depth", [0, 2])
def test_predictions_have_the_anchors_of_each_level(depth):
    predictor = ATSSPredictor(channels=16, levels=2, depth=depth, per_cell=2, num_classes=3)
    predictions = predictor([torch.rand(2, 16, 4, 5), torch.rand(2, 16, 2, 3)])
    assert [tuple(level.logits.shape) for level in predictions] == [(2, 40, 3), (2, 12, 3)]
    assert [tuple(level.deltas.shape) for level in predictions] == [(2, 40, 4), (2, 12, 4)]
    assert [tuple(level.quality.shape) for level in predictions] == [(2, 40), (2, 12)]


def test_each_level_scales_its_deltas():
    torch.manual_seed(0)
    predictor = ATSSPredictor(channels=16, levels=2, num_classes=1)
    level = torch.rand(1, 16, 3, 3)
    with torch.no_grad():
        predictor.scales[1].fill_(3.0)
    first, second = predictor([level, level])
    torch.testing.assert_close(second.deltas, 3 * first.deltas)
    torch.testing.assert_close(second.logits, first.logits)
