import torch
from torch import nn

from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.candidates import Candidates, DetectionLimits
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.heads.box_head import BoxStage, CascadeBoxHead
from srtod.heads.losses import averaged
from srtod.heads.roi_pooling import RoIPooling
from srtod.heads.stage_predictor import StagePredictor
from srtod.types import ImageBatch, Truth


def predictor(num_classes=3):
    torch.manual_seed(0)
    stage = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    return StagePredictor(stage=stage, channels=6, num_classes=num_classes)


def test_logits_and_deltas_of_each_class_come_from_the_mean_of_the_stage():
    own = predictor().eval()
    pooled = torch.rand(5, 4, 14, 14)
    logits, deltas = own(pooled)
    assert logits.shape == (5, 4)
    assert deltas.shape == (5, 3, 4)
    features = own.stage(pooled).mean(dim=(2, 3))
    torch.testing.assert_close(logits, own.classes(features))
    torch.testing.assert_close(deltas[:, 2], own.deltas(features)[:, 8:])


def head(group):
    stage = BoxStage(
        predictor=predictor(),
        coder=DeltaCoder(),
        assigner=MaxIoUAssigner(positive_iou=0.5, negative_iou=0.5),
        sampler=RandomSampler(None, positive_share=0.5),
        num_classes=3,
        add_objects=False,
    )
    limits = DetectionLimits(score_threshold=0.0, nms_iou=0.5, per_image=50)
    pooling = RoIPooling(strides=(16,), output_size=14)
    return CascadeBoxHead(pooling=pooling, stages=[stage], limits=limits, group=group)


def scene():
    generator = torch.Generator().manual_seed(0)
    corners = [torch.rand(count, 2, generator=generator) * 40 for count in (7, 3)]
    proposals = [torch.cat([corner, corner + 15], dim=1) for corner in corners]
    nothing = torch.zeros(0, 4)
    truths = [Truth(own[:2] + 1, torch.tensor([0, 2]), nothing, None) for own in proposals]
    image = torch.zeros(2, 3, 64, 64)
    batch = ImageBatch(image, image, ((64, 64),) * 2, ((64, 64),) * 2, ((1.0, 1.0),) * 2)
    return torch.rand(2, 4, 4, 4, generator=generator), proposals, batch, truths


def table(proposals):
    boxes = torch.cat(proposals)
    images = torch.arange(len(proposals)).repeat_interleave(torch.tensor([len(own) for own in proposals]))
    return Candidates(images, boxes, torch.ones(len(boxes)), torch.zeros_like(images))


def test_proposals_that_stand_for_nothing_give_no_candidates():
    level, proposals, batch, _ = scene()
    own, given = head(None).eval(), table(proposals)
    some = given._replace(scores=torch.where(given.images == 0, given.scores, -1))
    with torch.no_grad():
        every, found = (own.candidates([level], one, torch.tensor(batch.sizes)) for one in (given, some))
    assert found.images.unique().tolist() == [0]
    assert len(found.boxes) == (every.images == 0).sum() > 0


def test_boxes_in_groups_give_the_same_losses_gradients_and_detections():
    level, proposals, batch, truths = scene()
    outcomes = []
    for group in (None, 4):
        own, levels = head(group).eval(), [level.clone().requires_grad_()]
        losses = averaged(own.losses(levels, proposals, batch, truths))
        sum(losses.values()).backward()
        gradients = [levels[0].grad, *(p.grad for p in own.parameters())]
        found = own.candidates(levels, table(proposals), torch.tensor(batch.sizes))
        outcomes.append([*losses.values(), *gradients, found.boxes, found.scores])
    for alone, grouped in zip(*outcomes, strict=True):
        torch.testing.assert_close(grouped, alone)


def test_batch_norm_in_training_sees_all_boxes_once():
    level, proposals, batch, truths = scene()
    for group in (None, 4):
        own = head(group).train()
        own.losses([level], proposals, batch, truths)
        assert own.stages[0].predictor.stage[1].num_batches_tracked == 1


def test_ground_truth_is_not_among_the_boxes():
    _, proposals, _, truths = scene()
    sampled = head(None).stages[0].sample(proposals[0], truths[0])
    assert len(sampled.boxes) == 7
    assert sampled.proposed.all()
