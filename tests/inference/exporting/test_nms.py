import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torchvision.ops import batched_nms

from srtod.inference.exporting.nms import as_onnx, grouped_nms, in_one_plane

BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60], [50, 50, 60, 61]])
SCORES = torch.tensor([0.5, 0.9, 0.7, 0.2, 0.3])
GROUPS = torch.tensor([0, 0, 1, 1, 1])
KEPT = [1, 2, 4]


class Suppress(nn.Module):
    def forward(self, boxes, scores, groups):
        return grouped_nms(boxes, scores, groups, 2, 0.5)


@pytest.fixture(scope="module")
def session():
    some = torch.export.Dim.DYNAMIC(min=1, max=1000)
    program = torch.export.export(
        Suppress(), (BOXES, SCORES, GROUPS), dynamic_shapes=({0: some}, {0: some}, {0: some})
    )
    made = torch.onnx.export(
        program,
        (),
        input_names=("boxes", "scores", "groups"),
        custom_translation_table={torch.ops.srtod.grouped_nms.default: as_onnx},
        opset_version=18,
        verbose=False,
    )
    return onnxruntime.InferenceSession(made.model_proto.SerializeToString())


def by_onnx(session, boxes, scores, groups):
    given = {"boxes": boxes.numpy(), "scores": scores.numpy(), "groups": groups.numpy()}
    return session.run(None, given)[0].tolist()


def test_worse_boxes_of_a_group_go_and_the_rest_comes_best_first(session):
    assert grouped_nms(BOXES, SCORES, GROUPS, 2, 0.5).tolist() == KEPT
    assert in_one_plane(BOXES, SCORES, GROUPS, 2, 0.5).tolist() == KEPT
    assert by_onnx(session, BOXES, SCORES, GROUPS) == KEPT


def test_no_boxes_leave_none(session):
    nothing = (BOXES[:0], SCORES[:0], GROUPS[:0])
    assert in_one_plane(*nothing, 2, 0.5).tolist() == []
    assert by_onnx(session, *nothing) == []


def test_many_boxes_of_many_pixels_are_chosen_as_torchvision_does(session):
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(1000, 2, generator=draw) * 30_000
    corners[500:] = corners[:500] + torch.rand(500, 2, generator=draw) * 4
    boxes = torch.cat([corners, corners + 2 + 4 * torch.rand(1000, 2, generator=draw)], dim=1)
    scores, groups = torch.rand(1000, generator=draw), torch.randint(0, 2, (1000,), generator=draw)
    every_group = [(groups == group).nonzero()[:, 0] for group in range(2)]
    kept = torch.cat([own[batched_nms(boxes[own], scores[own], groups[own], 0.5)] for own in every_group])
    expected = kept[scores[kept].argsort(descending=True)].tolist()
    assert 500 < len(expected) < 1000
    assert in_one_plane(boxes, scores, groups, 2, 0.5).tolist() == expected
    assert by_onnx(session, boxes, scores, groups) == expected
    assert np.all(np.diff(scores[expected]) <= 0)
