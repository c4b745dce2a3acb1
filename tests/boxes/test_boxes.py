import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from srtod.boxes import references
from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.overlaps import box_iou, largest_iof, paired_giou, paired_iou
from srtod.boxes.samplers import RandomSampler

CPU = torch.device("cpu")
NOTHING = torch.zeros(0, 4)


def random_boxes(number, seed=0, size=100.0, sides=20.0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * (size - sides)
    return torch.cat([corners, corners + 1 + torch.rand(number, 2, generator=generator) * sides], dim=1)


def test_iou_equals_torchvision():
    first, second = random_boxes(50), random_boxes(70, seed=1)
    torch.testing.assert_close(box_iou(first, second), torchvision.ops.box_iou(first, second))


def test_iou_of_empty_boxes_is_zero():
    assert box_iou(torch.tensor([[3.0, 3, 3, 3]]), torch.tensor([[3.0, 3, 3, 3]])).item() == 0


def test_paired_overlaps_equal_torchvisions():
    first, second = random_boxes(50), random_boxes(50, seed=1)
    torch.testing.assert_close(paired_iou(first, second), torchvision.ops.box_iou(first, second).diagonal())
    expected = torchvision.ops.generalized_box_iou(first, second).diagonal()
    torch.testing.assert_close(paired_giou(first, second), expected)
    assert expected.min() < 0


def test_paired_overlaps_of_empty_boxes_are_finite():
    empty = torch.tensor([[3.0, 3, 3, 3]], requires_grad=True)
    both = paired_iou(empty, empty) + paired_giou(empty, empty)
    both.sum().backward()
    assert both.isfinite().all()
    assert empty.grad.isfinite().all()


def test_iof_is_of_the_boxs_own_area():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    regions = torch.tensor([[5.0, 0, 100, 10], [0, 0, 2, 10]])
    assert largest_iof(boxes, regions).tolist() == pytest.approx([0.5, 0])
    assert largest_iof(boxes, NOTHING).tolist() == [0, 0]


@given(st.integers(0, 10_000), st.sampled_from([(1.0,) * 4, (0.1, 0.1, 0.2, 0.2)]))
def test_decoding_undoes_encoding(seed, stds):
    references, boxes = random_boxes(20, seed), random_boxes(20, seed + 1)
    coder = DeltaCoder(stds)
    torch.testing.assert_close(
        coder.decode(references, coder.encode(references, boxes), (200, 200)), boxes, atol=1e-3, rtol=1e-3
    )


def test_decoded_boxes_stay_in_the_image_and_finite():
    deltas = torch.tensor([[100.0, -100, 80, 80]])
    boxes = DeltaCoder().decode(torch.tensor([[4.0, 4, 8, 8]]), deltas, (32, 64))
    assert boxes.isfinite().all()
    assert boxes[0, 0] >= 0
    assert boxes[0, 2] <= 64
    assert boxes[0, 3] <= 32


def test_anchors_are_centred_on_the_cells_corner_with_the_asked_areas_and_ratios():
    generator = AnchorGenerator(strides=[4, 8], scales=[2.0], ratios=[0.5, 1.0, 2.0])
    fine, coarse = generator([(2, 3), (1, 1)], CPU)
    assert fine.shape == (18, 4)
    widths, heights = (fine[:, 2:] - fine[:, :2]).T
    torch.testing.assert_close(widths * heights, torch.full((18,), 64.0))
    torch.testing.assert_close((heights / widths)[:3], torch.tensor([0.5, 1.0, 2.0]))
    centres = (fine[:, :2] + fine[:, 2:]) / 2
    assert centres[::3].tolist() == [[0, 0], [4, 0], [8, 0], [0, 4], [4, 4], [8, 4]]
    assert (coarse[1, 2:] - coarse[1, :2]).tolist() == [16, 16]


def test_valid_anchors_lie_on_the_cells_of_their_own_image():
    anchors = AnchorGenerator(strides=[8, 16], scales=[1.0, 2.0], ratios=[1.0])
    fine, coarse = anchors.valid_rows([(4, 4), (2, 2)], (16, 24), CPU)
    assert fine.tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]
    assert coarse.tolist() == [32, 33, 34, 35]
    assert anchors.valid_rows([(4, 4), (2, 2)], (32, 32), CPU) is None


def reference_assignment(boxes, objects, *, positive, negative, minimum, low_quality):
    """One box at a time, in the words of the Faster R-CNN paper."""
    overlaps = torchvision.ops.box_iou(objects, boxes)
    assigned = []
    for column in overlaps.T:
        best = int(column.argmax())
        value = float(column[best])
        assigned.append(best if value >= positive else BACKGROUND if value < negative else IGNORED)
    if low_quality:
        for index, row in enumerate(overlaps):
            if row.max() >= minimum:
                for box in (row == row.max()).nonzero().flatten().tolist():
                    assigned[box] = index
    return assigned


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("block", [64, 1 << 22])
def test_max_iou_assignment_equals_the_plain_loop(monkeypatch, seed, low_quality, block):
    monkeypatch.setattr(references, "_BLOCK_ELEMENTS", block)
    boxes, objects = random_boxes(300, seed), random_boxes(15, seed + 100)
    assigner = MaxIoUAssigner(
        positive_iou=0.5, negative_iou=0.3, minimum_iou=0.2, match_low_quality=low_quality
    )
    expected = reference_assignment(
        boxes, objects, positive=0.5, negative=0.3, minimum=0.2, low_quality=low_quality
    )
    assert assigner([boxes], objects).tolist() == expected


def test_ties_all_become_positive_and_the_later_object_wins():
    boxes = torch.tensor([[0.0, 0, 4, 4], [4, 0, 8, 4], [50, 50, 54, 54]])
    objects = torch.tensor([[2.0, 0, 6, 4], [2.0, 0, 6, 4]])
    assigner = MaxIoUAssigner(positive_iou=0.9, negative_iou=0.3, minimum_iou=0.1, match_low_quality=True)
    assert assigner([boxes], objects).tolist() == [1, 1, BACKGROUND]


def test_no_objects_means_background():
    assert (
        MaxIoUAssigner(positive_iou=0.5, negative_iou=0.5)([random_boxes(5)], NOTHING).tolist()
        == [BACKGROUND] * 5
    )


def assignment(positive, negative, ignored=3):
    return torch.cat(
        [
            torch.arange(positive),
            torch.full((negative,), BACKGROUND),
            torch.full((ignored,), IGNORED),
        ]
    )


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [(100, 100, (16, 16)), (5, 100, (5, 27)), (5, 10, (5, 10)), (0, 0, (0, 0))],
)
def test_sampler_bounds_the_share_of_positives_and_fills_with_negatives(positive, negative, expected, device):
    assigned = assignment(positive, negative).to(device)
    samples = RandomSampler(32, 0.5)(assigned)
    sampled = assigned[samples.rows[samples.valid]]
    assert (int((sampled >= 0).sum()), int((sampled == BACKGROUND).sum())) == expected
    assert torch.equal(samples.assigned[samples.valid], sampled)
    assert len(samples.rows.unique()) == len(samples.rows) == min(32, len(assigned))


def test_sampler_without_number_keeps_every_box(device):
    assigned = assignment(7, 9).to(device)
    samples = RandomSampler(None, 0.5)(assigned)
    assert torch.equal(assigned[samples.rows], assigned)
    assert int(samples.valid.sum()) == 16


def test_sampling_follows_its_generator():
    assigned = assignment(100, 100)
    first, second, other = (
        RandomSampler(32, 0.5)(assigned, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.rows, second.rows)
    assert not torch.equal(first.rows, other.rows)


def test_every_box_is_sampled_equally_often():
    assigned, generator = assignment(40, 60, ignored=20), torch.Generator().manual_seed(0)
    times = torch.zeros(120)
    for _ in range(2000):
        times[RandomSampler(32, 0.25)(assigned, generator).rows] += 1
    assert (times[:40] / 2000 - 8 / 40).abs().max() < 0.04
    assert (times[40:100] / 2000 - 24 / 60).abs().max() < 0.05
    assert times[100:].max() == 0
