"""RoIAlign gives torchvision's features and gradients."""

import importlib

import pytest
import torch
from torchvision import ops

from srtod.heads import roi_align as ours
from srtod.heads.roi_align import roi_align

SCALE = 0.25


def gradients(rois, shape, size=7, scale=SCALE):
    """Of the level, by ours and by torchvision's, whose features are the same."""
    draw = torch.Generator().manual_seed(0)
    level = torch.randn(shape, generator=draw).requires_grad_()
    own = roi_align(level, rois, size, scale)
    usual = ops.roi_align(level, rois, size, scale, aligned=True)
    assert torch.equal(own, usual)
    weight = torch.randn(own.shape, generator=draw)
    return [torch.autograd.grad(made, level, weight)[0] for made in (own, usual)]


@pytest.mark.parametrize("most", [4, 40, 400])
@pytest.mark.parametrize("seed", range(3))
def test_random_boxes_inside_and_outside(most, seed):
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(60, 2, generator=draw) * 300 - 50
    sides = torch.rand(60, 2, generator=draw) ** 3 * most
    image = torch.randint(0, 2, (60, 1), generator=draw)
    own, usual = gradients(torch.cat([image, corner, corner + sides], 1), (2, 5, 48, 64))
    torch.testing.assert_close(own, usual, rtol=1e-4, atol=1e-4)
    assert usual.abs().sum() > 0


@pytest.mark.parametrize(
    "box",
    [(8, 8, 8, 8), (-90, -90, -50, -50), (500, 500, 600, 600), (-8, -8, 300, 300), (0, 3.9, 255.9, 4.1)],
)
def test_boxes_without_area_outside_or_as_large_as_the_level(box):
    own, usual = gradients(torch.tensor([[0, *box]], dtype=torch.float32), (1, 3, 48, 64))
    torch.testing.assert_close(own, usual, rtol=1e-4, atol=1e-4)


def test_a_sample_at_the_border_counts_where_it_does_for_torchvision():
    box = torch.tensor([[0, -17, 91, 35, 93]], dtype=torch.float32)
    own, usual = gradients(box, (1, 3, 12, 16), size=14, scale=1 / 8)
    torch.testing.assert_close(own, usual, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("box", [(40, 40, 30, 30), (20, 20, 0, 0)])
def test_a_box_turned_around_has_no_gradient(box):
    own, usual = gradients(torch.tensor([[0, *box]], dtype=torch.float32), (1, 3, 16, 16))
    assert torch.equal(own, usual) and not own.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 1)])
def test_levels_of_few_cells(size):
    rois = torch.tensor([[0, 0, 0, 4, 4], [0, 1, 1, 60, 3], [1, 0, 0, 40, 40]], dtype=torch.float32)
    own, usual = gradients(rois, (2, 4, *size))
    torch.testing.assert_close(own, usual, rtol=1e-4, atol=1e-4)


def test_no_boxes():
    own, usual = gradients(torch.zeros(0, 5), (1, 3, 8, 8))
    assert torch.equal(own, usual) and not own.any()


def test_more_boxes_than_are_spread_at_once(monkeypatch):
    monkeypatch.setattr("srtod.heads.roi_align._AT_ONCE", 1_000)
    corner = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) * 150
    rois = torch.cat([torch.zeros(30, 1), corner, corner + 12], 1)
    own, usual = gradients(rois, (1, 3, 48, 64))
    torch.testing.assert_close(own, usual, rtol=1e-4, atol=1e-4)


def test_the_gradient_is_of_single_precision_under_autocast():
    level = torch.randn(1, 4, 16, 16).requires_grad_()
    rois = torch.tensor([[0, 4.0, 4, 12, 12]])
    with torch.autocast("cpu", torch.bfloat16):
        made = roi_align(level, rois, 7, SCALE)
        (own,) = torch.autograd.grad(made.sum(), level)
    (usual,) = torch.autograd.grad(ops.roi_align(level, rois, 7, SCALE, aligned=True).sum(), level)
    assert made.dtype == own.dtype == torch.float32
    torch.testing.assert_close(own, usual)


def test_where_torchvision_computes_in_python_boxes_without_area_have_gradients_that_are_numbers(monkeypatch):
    in_python = importlib.import_module("torchvision.ops.roi_align")._roi_align.__wrapped__
    rois = torch.tensor([[0.0, 0, 0, 0, 0], [0, 4, 4, 20, 20], [0, 9, 3, 9, 30]])
    usual = gradients(rois, (1, 2, 8, 8))[1]
    level = torch.randn((1, 2, 8, 8), generator=torch.Generator().manual_seed(0)).requires_grad_()
    monkeypatch.setattr(ours, "_by_matrices", lambda _: False)
    monkeypatch.setattr(ours, "_by_python", lambda _: True)

    def roi_align_in_python(level, rois, size, scale, *, aligned):
        return in_python(level, rois, scale, size, size, -1, aligned)

    monkeypatch.setattr(ops, "roi_align", roi_align_in_python)
    made = roi_align(level, rois, 7, SCALE)
    assert not made[[0, 2]].any()
    draw = torch.Generator().manual_seed(0)
    torch.randn(level.shape, generator=draw)
    gradient = torch.autograd.grad(made, level, torch.randn(made.shape, generator=draw))[0]
    torch.testing.assert_close(gradient, usual, rtol=1e-4, atol=1e-4)
