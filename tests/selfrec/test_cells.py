"""Where a mask lies: cell i of a level stands for the pixels from stride * i to stride * (i + 1)."""

import pytest
import torch
import torch.nn.functional as F

from srtod.selfrec import SelfReconstruction, SelfReconstructionConfig
from srtod.selfrec.filtration import resize_mask

ROWS, COLUMNS = 10, 21  # at stride 4: 3 x 6 cells, the last of 2 rows and 1 column; at stride 8: 2 x 3


def module(**switches):
    torch.manual_seed(0)
    config = SelfReconstructionConfig(enhancement="multiply", levels=2, **switches)
    return SelfReconstruction(channels=16, strides=(4, 8), config=config)


def levels():
    return [torch.ones(1, 16, 3, 6), torch.ones(1, 16, 2, 3)]


def set_cells(level):
    return [tuple(cell) for cell in level[0].amax(dim=0).nonzero().tolist()]


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("how", ["nearest", "max", "area"])
def test_whole_cells_are_resized_as_torch_does(how, stride):
    given = torch.rand(2, 1, 3 * stride, 5 * stride, generator=torch.Generator().manual_seed(0))
    mine, other = given.clone().requires_grad_(), given.clone().requires_grad_()
    wanted = F.adaptive_max_pool2d(other, (3, 5)) if how == "max" else F.interpolate(other, (3, 5), mode=how)
    resized = resize_mask(mine, stride, how)
    weights = torch.arange(30.0).reshape(2, 1, 3, 5)
    (wanted * weights).sum().backward()
    (resized * weights).sum().backward()
    torch.testing.assert_close(resized, wanted)
    torch.testing.assert_close(mine.grad, other.grad)


@pytest.mark.parametrize("how", ["nearest", "max", "area"])
def test_each_pixel_sets_its_own_cell_alone(how):
    pixels = torch.eye(ROWS * COLUMNS).reshape(-1, 1, ROWS, COLUMNS)
    for pixel, mask in zip(pixels, resize_mask(pixels, 4, how), strict=True):
        ((_, row, column),) = pixel.nonzero().tolist()
        wanted = torch.zeros(1, 3, 6)
        own = pixel[:, row // 4 * 4 :, column // 4 * 4 :][:, :4, :4]
        share = {"nearest": float(row % 4 == column % 4 == 0), "max": 1.0, "area": 1 / own.numel()}
        wanted[0, row // 4, column // 4] = share[how]
        torch.testing.assert_close(mask, wanted)


@pytest.mark.parametrize(("stride", "size"), [(4, (1, 1)), (8, (3, 9)), (32, (5, 33))])
def test_images_smaller_than_a_cell_have_one(stride, size):
    for how in ("nearest", "max", "area"):
        mask = resize_mask(torch.ones(1, 1, *size), stride, how)
        assert mask.shape[-2:] == (1, -(-size[1] // stride))
        assert mask.min() == mask.max() == 1


@pytest.mark.parametrize("resize", ["max", "area"])
@pytest.mark.parametrize("pixel", [(0, 0), (4, 15), (7, 16), (8, 3), (9, 20)])
def test_the_mask_of_every_enhanced_level_lies_where_the_rebuilding_failed(pixel, resize):
    row, column = pixel
    model = module(threshold=0.1, resize=resize)
    model.head.forward = lambda _: torch.zeros(1, 3, 12, 24)
    image = torch.zeros(1, 3, ROWS, COLUMNS)
    image[..., row, column] = 1
    lowest, next_one = model(levels(), image).levels
    assert set_cells(lowest) == [(row // 4, column // 4)]
    assert set_cells(next_one) == [(row // 8, column // 8)]


@pytest.mark.parametrize("cell", [(0, 1), (1, 4), (2, 5)])
def test_a_predicted_mask_lies_in_the_same_place_on_every_level(cell):
    model = module(mask="distilled")
    logits = torch.full((1, 1, 3, 6), -200.0)
    logits[..., cell[0], cell[1]] = 200.0
    model.predictor.forward = lambda _: logits
    lowest, next_one = model(levels(), torch.zeros(1, 3, ROWS, COLUMNS)).levels
    assert set_cells(lowest) == [cell]
    assert set_cells(next_one) == [(cell[0] // 2, cell[1] // 2)]


def test_cells_that_hold_nothing_but_padding_teach_the_predicted_mask_nothing():
    model = module(mask="distilled")
    logits = torch.zeros(1, 1, 3, 6, requires_grad=True)
    model.predictor.forward = lambda _: logits
    image = torch.zeros(1, 3, ROWS, COLUMNS)
    valid = torch.zeros(1, 1, ROWS, COLUMNS, dtype=torch.bool)
    valid[..., :5, :16] = True
    model.losses(model(levels(), image, valid), image, valid, (), ())["loss_mask"].backward()
    assert logits.grad[0, 0].ne(0).nonzero().tolist() == [
        [row, column] for row in (0, 1) for column in range(4)
    ]
