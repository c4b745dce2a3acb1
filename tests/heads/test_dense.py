import pytest
import torch
from torch import nn

import srtod
from srtod.boxes.anchors import AnchorGenerator, per_anchor
from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.candidates import DetectionLimits
from srtod.boxes.coders import DeltaCoder
from srtod.heads import losses as shared
from srtod.heads.dense import DenseHead, DensePrediction
from srtod.heads.losses import focal_loss
from srtod.heads.towers import ConvTowers, initialise, norm_groups
from srtod.support.errors import InputError
from srtod.types import ImageBatch, Truth

NOTHING = torch.zeros(0, 4)


class Fixed(nn.Module):
    """Predicts what it is given."""

    def __init__(self, *levels):
        super().__init__()
        self.levels = levels

    def forward(self, levels):
        return list(self.levels)


def prediction(anchors=4, images=1, classes=2, seed=0, quality=False):
    generator = torch.Generator().manual_seed(seed)
    return DensePrediction(
        logits=torch.randn(images, anchors, classes, generator=generator),
        deltas=torch.randn(images, anchors, 4, generator=generator) / 5,
        quality=torch.randn(images, anchors, generator=generator) if quality else None,
    )


def batch(*sizes, padded=None):
    return ImageBatch(
        normalised=torch.zeros(0),
        raw=torch.zeros(0),
        sizes=sizes,
        padded_sizes=padded or sizes,
        scales=((1.0, 1.0),) * len(sizes),
    )


def head(predictor, assigned, box_loss=lambda found, coder: {}):
    """A head on two levels of 2 x 2 and 1 x 1 cells, whose assigner gives what it is told."""
    answers = iter(assigned)
    return DenseHead(
        predictor=predictor,
        anchors=AnchorGenerator(strides=[8, 16], scales=[2.0], ratios=[1.0]),
        assigner=lambda levels, objects: torch.tensor(next(answers)),
        coder=DeltaCoder(),
        box_loss=box_loss,
        level_candidates=1000,
        limits=DetectionLimits(score_threshold=0.05, nms_iou=0.5, per_image=10),
    )


LEVELS = [torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 1, 1)]


def truth(boxes=((0.0, 0, 8, 8),), labels=(1,)):
    return Truth(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), NOTHING, None)


def test_focal_loss_is_that_of_the_paper():
    logits, wanted = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([1.0, 0, 0])
    p = logits.sigmoid()
    expected = [
        -0.25 * (1 - p[0]) ** 2 * p[0].log(),
        -0.75 * p[1] ** 2 * (1 - p[1]).log(),
        -0.75 * p[2] ** 2 * (1 - p[2]).log(),
    ]
    torch.testing.assert_close(focal_loss(logits, wanted), torch.stack(expected))


def test_class_loss_counts_background_and_positives_but_not_what_is_ignored():
    fine, coarse = prediction(4), prediction(1, seed=1)
    assigned = [[0, BACKGROUND, IGNORED, BACKGROUND, 0]]
    losses = head(Fixed(fine, coarse), assigned).loss(LEVELS, batch((16, 16)), [truth()])
    logits = torch.cat([fine.logits, coarse.logits], dim=1)[0]
    wanted = torch.zeros(5, 2)
    wanted[[0, 4], 1] = 1
    counted = [0, 1, 3, 4]
    torch.testing.assert_close(losses["loss_class"], focal_loss(logits, wanted)[counted].sum() / 2)


def test_anchors_meet_their_own_images_objects():
    seen = []
    two = [truth(((0.0, 0, 8, 8), (8, 8, 12, 12)), (0, 1)), truth(((1.0, 1, 5, 5),), (0,))]
    levels = [prediction(4, images=2, quality=True), prediction(1, images=2, seed=1, quality=True)]
    none = BACKGROUND
    own = head(
        Fixed(*levels),
        [[1, none, none, none, 0], [none, none, 0, none, none]],
        box_loss=lambda found, coder: seen.append(found) or {},
    )
    own.loss(LEVELS, batch((16, 16), (16, 16)), two)
    (found,) = seen
    assert found.objects[found.positive].tolist() == [[8, 8, 12, 12], [0, 0, 8, 8], [1, 1, 5, 5]]
    assert found.positive.nonzero().tolist() == [[0, 0], [0, 4], [1, 2]]
    assert found.anchors[[0, 4]].tolist() == [[-8, -8, 8, 8], [-16, -16, 16, 16]]
    for name in ("deltas", "quality"):
        both = torch.cat([getattr(level, name) for level in levels], dim=1)
        torch.testing.assert_close(getattr(found, name), both)
    assert found.count == 3


def test_an_image_without_positives_counts_as_one():
    fine, coarse = prediction(4, images=2), prediction(1, images=2)
    seen = []
    own = head(
        Fixed(fine, coarse),
        [[0, 0, 0, BACKGROUND, BACKGROUND], [BACKGROUND] * 5],
        box_loss=lambda found, coder: seen.append(found.count) or {},
    )
    own.loss(LEVELS, batch((16, 16), (16, 16)), [truth(), truth((), ())])
    assert seen == [4]


def test_anchors_in_the_padding_are_not_assigned_and_not_counted():
    fine, coarse = prediction(4), prediction(1, seed=1)
    own = head(Fixed(fine, coarse), [[BACKGROUND, BACKGROUND, BACKGROUND]])
    losses = own.loss(LEVELS, batch((16, 8), padded=((16, 8),)), [truth((), ())])
    logits = torch.cat([fine.logits, coarse.logits], dim=1)[0, [0, 2, 4]]
    torch.testing.assert_close(losses["loss_class"], focal_loss(logits, torch.zeros(3, 2)).sum())


def test_losses_of_a_batch_are_sums_over_its_images(monkeypatch):
    monkeypatch.setattr(shared, "across_processes", lambda counts: torch.full_like(counts, 7.0))
    assigned = [[0, BACKGROUND, IGNORED, BACKGROUND, 0], [BACKGROUND, 0, BACKGROUND, IGNORED, BACKGROUND]]
    levels = [prediction(4, images=2), prediction(1, images=2, seed=1)]
    together = head(Fixed(*levels), assigned).loss(LEVELS, batch((16, 16), (16, 16)), [truth(), truth()])
    alone = [
        head(
            Fixed(*(DensePrediction(*(own[index : index + 1] for own in level[:2])) for level in levels)),
            [answer],
        ).loss(LEVELS, batch((16, 16)), [truth()])["loss_class"]
        for index, answer in enumerate(assigned)
    ]
    torch.testing.assert_close(together["loss_class"], sum(alone))


class Given:
    """Stands for a generator of anchors, of whatever levels."""

    def __init__(self, *levels):
        self.levels = levels

    def __call__(self, sizes, device):
        return list(self.levels)


def detect(predicted, anchors, *, candidates=10, size=(100, 100), most=10, threshold=0.05):
    """What a head finds in one image of which it predicts this for each level."""
    own = DenseHead(
        predictor=Fixed(*predicted),
        anchors=Given(*anchors),
        assigner=None,
        coder=DeltaCoder(),
        box_loss=None,
        level_candidates=candidates,
        limits=DetectionLimits(score_threshold=threshold, nms_iou=0.5, per_image=most),
    )
    return own.detect([torch.zeros(1, 1, 1, 1)] * len(anchors), torch.tensor([size]))


def select(logits, *, quality=None, **options):
    """Detections of one level of anchors of 10 x 10 pixels, 20 pixels apart."""
    logits = torch.tensor(logits)[None]
    lefts = torch.arange(logits.shape[1]) * 20.0
    anchors = torch.stack([lefts, torch.zeros_like(lefts), lefts + 10, torch.full_like(lefts, 10.0)], dim=1)
    quality = None if quality is None else quality[None]
    return detect([DensePrediction(logits, torch.zeros(1, len(lefts), 4), quality)], [anchors], **options)


def test_detections_are_the_pairs_of_anchor_and_class_above_the_threshold():
    found = select([[2.0, -9], [-9.0, 1], [-9.0, -9], [0.5, 0.0]])
    assert found.groups.tolist() == [0, 1, 0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([2.0, 1, 0.5, 0]).sigmoid())
    assert found.boxes[:, 0].tolist() == [0, 20, 60, 60]


def test_level_candidates_and_detections_are_bounded():
    assert select([[3.0], [2], [1], [0]], candidates=2).boxes[:, 0].tolist() == [0, 20]
    assert select([[3.0], [2], [1], [0]], most=3).boxes[:, 0].tolist() == [0, 20, 40]


def test_quality_orders_detections_after_the_threshold():
    found = select([[2.0], [1.0]], quality=torch.tensor([-4.0, 4.0]), threshold=0.7)
    assert found.boxes[:, 0].tolist() == [20, 0]
    torch.testing.assert_close(found.scores[1], torch.tensor(2.0).sigmoid() * torch.tensor(-4.0).sigmoid())


def test_boxes_are_clipped_and_what_is_left_without_area_goes():
    found = select([[2.0], [1.0], [0.0]], size=(5, 30))
    assert found.boxes.tolist() == [[0, 0, 10, 5], [20, 0, 30, 5]]


def test_suppression_is_within_classes_and_over_all_levels():
    anchors = [torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 10, 11]])]
    levels = [
        DensePrediction(torch.tensor([[[2.0, 1.0]]]), torch.zeros(1, 1, 4)),
        DensePrediction(torch.tensor([[[1.0, 2.0]]]), torch.zeros(1, 1, 4)),
    ]
    found = detect(levels, anchors)
    assert sorted(zip(found.groups.tolist(), found.boxes[:, 3].tolist(), strict=True)) == [(0, 10), (1, 11)]


def test_maps_are_read_in_the_order_of_the_anchors():
    predicted = torch.arange(2 * 3 * 2 * 2).reshape(1, 6, 2, 2)
    values = per_anchor(predicted, 3)
    assert values.shape == (1, 8, 3)
    assert values.dtype == torch.float32
    for row, column, anchor in ((0, 0, 0), (0, 1, 1), (1, 0, 1)):
        index = (row * 2 + column) * 2 + anchor
        assert values[0, index].tolist() == predicted[0, anchor * 3 : anchor * 3 + 3, row, column].tolist()


@pytest.mark.parametrize(
    ("channels", "groups"), [(256, 32), (128, 32), (384, 32), (32, 16), (16, 8), (2, 1), (9, 1)]
)
def test_groups_divide_the_channels_and_hold_two_at_least(channels, groups):
    assert norm_groups(channels) == groups


def test_a_single_channel_makes_no_group():
    with pytest.raises(InputError, match=r"pyramid_channels: .* give at least 2, not 1"):
        ConvTowers(channels=1, depth=4, normalised=True)
    assert ConvTowers(channels=1, depth=4, normalised=False)(torch.rand(1, 1, 1, 1))[0].shape == (1, 1, 1, 1)


def test_towers_without_depth_hand_the_level_on():
    level = torch.rand(1, 8, 2, 2)
    classes, boxes = ConvTowers(channels=8, depth=0, normalised=True)(level)
    assert classes is level
    assert boxes is level


@pytest.mark.parametrize("normalised", [False, True])
def test_towers_train_on_a_level_of_one_cell(normalised):
    classes, boxes = ConvTowers(channels=32, depth=2, normalised=normalised)(torch.rand(1, 32, 1, 1))
    assert classes.shape == boxes.shape == (1, 32, 1, 1)
    assert not torch.equal(classes, boxes)


def test_first_scores_are_the_prior():
    towers = nn.ModuleDict({"classes": nn.Conv2d(8, 4, 3), "deltas": nn.Conv2d(8, 4, 3)})
    initialise(towers, towers["classes"])
    torch.testing.assert_close(towers["classes"].bias.sigmoid(), torch.full((4,), 0.01))
    assert (towers["deltas"].bias == 0).all()
    assert 0.005 < towers["deltas"].weight.std() < 0.015


@pytest.mark.parametrize("system", ["retinanet", "atss"])
def test_boxes_and_losses_are_float32_under_autocast(system):
    detector = srtod.build_detector(
        system, num_classes=2, backbone="resnet18", pyramid_channels=16, score_threshold=0.0
    )
    images = [torch.rand(3, 64, 96), torch.rand(3, 90, 70)]
    target = {"boxes": torch.tensor([[10.0, 10, 30, 30]]), "labels": torch.tensor([1])}
    with torch.autocast("cpu", torch.bfloat16):
        losses = detector.train()(images, [target, target])
        found = detector.eval()(images)[0]
    sum(losses.values()).backward()
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32
