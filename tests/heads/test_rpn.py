import math

import pytest
import torch

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.samplers import RandomSampler
from srtod.heads.losses import averaged
from srtod.heads.rpn import ProposalLimits, RegionProposalNetwork
from srtod.types import ImageBatch, Truth

ANCHOR = torch.tensor([[-4.0, -4, 4, 4]])


def takes_the_first_object(levels, objects):
    return torch.zeros(len(levels.boxes), dtype=torch.int64)


def box_loss(target_shrink):
    """Of one anchor that equals the object, with deltas of zero."""
    limits = ProposalLimits(candidates=1, kept=1)
    rpn = RegionProposalNetwork(
        channels=2,
        anchors=AnchorGenerator(strides=[8], scales=[1.0], ratios=[1.0]),
        assigner=takes_the_first_object,
        sampler=RandomSampler(None, positive_share=0.5),
        limits=(limits, limits),
        target_shrink=target_shrink,
    )
    image = torch.zeros(1, 3, 8, 8)
    batch = ImageBatch(
        normalised=image, raw=image, sizes=((8, 8),), padded_sizes=((8, 8),), scales=((1.0, 1.0),)
    )
    truth = Truth(ANCHOR, torch.tensor([0]), torch.zeros(0, 4), None)
    losses, proposals = rpn.loss_and_propose([torch.zeros(1, 2, 1, 1)], batch, [truth])
    assert proposals[0].tolist() == [[0, 0, 4, 4]]
    return averaged(losses)["loss_rpn_box"].item()


def test_deltas_are_learned_from_the_anchors_that_are_decoded_unless_they_are_to_shrink():
    assert box_loss(None) == 0
    counted = 2
    assert box_loss(0.5) == pytest.approx(2 * math.log(2) / counted)
