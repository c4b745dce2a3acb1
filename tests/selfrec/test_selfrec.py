import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from srtod.selfrec import SelfReconstruction, SelfReconstructionConfig
from srtod.selfrec.difference import high_frequency_difference, pixel_difference
from srtod.selfrec.enhancement import Filtration, resize_mask
from srtod.selfrec.reconstruction import LiteHead, PaperHead


def module(channels=16, stride=4, **switches):
    torch.manual_seed(0)
    return SelfReconstruction(channels=channels, stride=stride, config=SelfReconstructionConfig(**switches))


def scene(channels=16, stride=4, size=32):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, size, size, generator=generator)
    level = torch.randn(2, channels, size // stride, size // stride, generator=generator)
    return [level, level[..., ::2, ::2]], image


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize("head", [PaperHead, LiteHead])
def test_heads_rebuild_an_image_of_the_right_size_and_range(head, stride):
    image = head(32, stride)(torch.randn(2, 32, 3, 5))
    assert image.shape == (2, 3, 3 * stride, 5 * stride)
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize(("channels", "stride"), [(32, 6), (32, 1), (6, 4)])
def test_paper_head_refuses_what_it_cannot_double(channels, stride):
    with pytest.raises(ValueError, match=r"power of two|cannot be halved"):
        PaperHead(channels, stride)


def flops(head, height=1080, width=1920):
    level = torch.empty(1, 256, height // 4, width // 4, device="meta")
    with FlopCounterMode(display=False) as counter:
        head.to("meta")(level)
    return counter.get_total_flops() / 1e9


def test_costs_at_full_hd():
    assert flops(PaperHead(256, 4)) == pytest.approx(897, rel=0.01)
    assert flops(LiteHead(256, 4)) <= 0.12 * 811


def test_paper_head_has_the_published_number_of_parameters():
    enhanced = module(256, head="paper")
    assert sum(p.numel() for p in enhanced.parameters()) / 1e6 == pytest.approx(1.034, abs=0.001)


def test_pixel_difference_is_the_mean_over_channels():
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    b[0, 0, 1, 1] = 0.9
    torch.testing.assert_close(pixel_difference(a, b)[0, 0], torch.tensor([[0.0, 0.0], [0.0, 0.3]]))


def test_high_frequency_difference_sees_a_dot_and_not_a_slope():
    flat = torch.full((1, 3, 64, 64), 0.5)
    slow = flat + 0.2 * torch.cos(torch.arange(64) * 2 * torch.pi / 64)
    dot = flat.clone()
    dot[..., 30:32, 30:32] = 1.0
    assert high_frequency_difference(flat, slow).max() < 1e-5
    found = high_frequency_difference(flat, dot)
    assert found[0, 0, 30, 30] > 0.4
    assert found[0, 0, 5, 5] < 0.02


@pytest.mark.parametrize(("how", "kept"), [("nearest", 0.0), ("max", 1.0), ("area", 0.25)])
def test_resize_of_an_object_of_two_pixels(how, kept):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 5:7, 5:7] = 1
    assert resize_mask(mask, (2, 2), how)[0, 0].tolist() == [[0, 0], [0, kept]]


def test_mask_is_the_papers_in_the_forward_pass():
    difference = torch.tensor([[[[0.1, 0.2, 0.3]]]])
    for surrogate in ("sigmoid", "sign"):
        mask = Filtration("learnable", threshold=0.2, surrogate=surrogate, temperature=0.02)(difference)
        assert mask.flatten().tolist() == [0, 0.5, 1]


def test_surrogate_gradient_is_that_of_the_documented_sigmoid():
    difference = torch.tensor([[[[0.10, 0.19, 0.25]]]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[[[1.0, 2.0, -3.0]]]], dtype=torch.float64)
    filtration = Filtration("learnable", threshold=0.2, surrogate="sigmoid", temperature=0.05).double()
    (filtration(difference) * weights).sum().backward()
    soft_difference = difference.detach().clone().requires_grad_()
    soft_threshold = filtration.threshold.detach().clone().requires_grad_()
    (((soft_difference - soft_threshold) / 0.05).sigmoid() * weights).sum().backward()
    torch.testing.assert_close(difference.grad, soft_difference.grad)
    torch.testing.assert_close(filtration.threshold.grad, soft_threshold.grad)


@pytest.mark.parametrize(("surrogate", "learns"), [("sigmoid", True), ("sign", False)])
def test_gradient_of_what_follows_reaches_threshold_and_head(surrogate, learns):
    model = module(surrogate=surrogate)
    levels, image = scene()
    model(levels, image).levels[0].square().sum().backward()
    assert bool(model.filtration.threshold.grad.abs() > 0) is learns
    gradient = model.head.output.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is learns


@pytest.mark.parametrize(("surrogate", "moves"), [("sigmoid", True), ("sign", False)])
def test_threshold_moves_to_where_the_loss_wants_it(surrogate, moves):
    """Objects differ by 0.5, texture by 0.1; a loss on the mask must bring the threshold between the two."""
    difference = torch.full((1, 1, 16, 16), 0.1)
    difference[..., 4:6, 4:6] = 0.5
    wanted = (difference > 0.3).float()
    filtration = Filtration("learnable", threshold=0.05, surrogate=surrogate, temperature=0.05)
    optimizer = torch.optim.SGD(filtration.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (filtration(difference) - wanted).square().mean().backward()
        optimizer.step()
    threshold = filtration.threshold.item()
    assert (0.1 < threshold < 0.5) if moves else threshold == pytest.approx(0.05)


def test_fixed_threshold_is_no_parameter_but_is_saved():
    model = module(filtration="fixed", threshold=0.3)
    assert "filtration.threshold" not in dict(model.named_parameters())
    assert model.state_dict()["filtration.threshold"].item() == pytest.approx(0.3)


def test_without_filtration_the_difference_itself_is_the_mask():
    levels, image = scene()
    output = module(filtration="none", resize="area")(levels, image)
    expected = torch.nn.functional.avg_pool2d(output.difference, 4)
    torch.testing.assert_close(output.mask, expected)


@pytest.mark.parametrize(
    ("head", "difference", "filtration", "resize", "enhancement"),
    list(
        itertools.product(
            ["paper", "lite"],
            ["pixel", "high-frequency"],
            ["none", "fixed", "learnable"],
            ["nearest", "max", "area"],
            ["attention", "multiply", "concatenate"],
        )
    ),
)
def test_every_combination_runs_and_changes_only_the_lowest_level(
    head, difference, filtration, resize, enhancement
):
    model = module(
        head=head,
        difference=difference,
        filtration=filtration,
        threshold=0.35,
        resize=resize,
        enhancement=enhancement,
    )
    levels, image = scene()
    output = model(levels, image)
    assert output.levels[0].shape == levels[0].shape
    assert not torch.equal(output.levels[0], levels[0])
    assert output.levels[1] is levels[1]
    (output.levels[0].sum() + model.loss(output.reconstruction, image)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("resize", "row", "column"), [("max", 2, 3), ("nearest", 0, 0)])
def test_gradient_goes_to_the_pixel_that_decides_its_cell(resize, row, column):
    model = module(threshold=0.16, resize=resize)
    difference = torch.full((1, 1, 4, 4), 0.02)
    difference[..., 2, 3] = 0.15
    difference.requires_grad_()
    model._mask(difference, (1, 1)).sum().backward()
    assert difference.grad.nonzero().tolist() == [[0, 0, row, column]]
    torch.testing.assert_close(model.filtration.threshold.grad, -difference.grad.sum())


@pytest.mark.parametrize("enhancement", ["attention", "multiply", "concatenate"])
def test_mixed_precision_keeps_the_levels_type(enhancement):
    levels, image = scene()
    model = module(enhancement=enhancement)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model([level.bfloat16() for level in levels], image)
    assert {level.dtype for level in output.levels} == {torch.bfloat16}
    assert output.reconstruction.dtype == output.difference.dtype == torch.float32


def padded_pair():
    levels, image = scene()
    image[1, :, 20:] = 0
    valid = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    valid[1, :, 20:] = False
    return levels, image, valid


def test_padding_is_left_out_of_loss_and_difference():
    levels, image, valid = padded_pair()
    model = module()
    output = model(levels, image, valid)
    assert output.difference[1, :, 20:].abs().max() == 0
    error = (output.reconstruction - image).square().mean(1)
    expected = (error[0].mean() + error[1, :20].mean()) / 2
    torch.testing.assert_close(model.loss(output.reconstruction, image, valid), expected)


def test_padding_counts_in_the_authors_way():
    levels, image, valid = padded_pair()
    model = module(padding="include")
    output = model(levels, image, valid)
    assert output.difference[1, :, 20:].abs().max() > 0
    expected = (output.reconstruction - image).square().mean()
    torch.testing.assert_close(model.loss(output.reconstruction, image, valid), expected)
