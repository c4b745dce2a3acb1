import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from srtod.selfrec import SelfReconstruction, SelfReconstructionConfig
from srtod.selfrec.difference import (
    high_frequency_difference,
    high_pass,
    local_mean,
    pixel_difference,
    relative_difference,
)
from srtod.selfrec.filtration import Filtration, resize_mask
from srtod.selfrec.objects import painted_over, touched_cells
from srtod.selfrec.predictor import box_loss
from srtod.selfrec.reconstruction import LiteHead, PaperHead


def module(channels=16, stride=4, **switches):
    torch.manual_seed(0)
    return SelfReconstruction(
        channels=channels, strides=(stride, 2 * stride), config=SelfReconstructionConfig(**switches)
    )


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
    assert resize_mask(mask, 4, how)[0, 0].tolist() == [[0, 0], [0, kept]]


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


@pytest.mark.parametrize("threshold", [-3.0, -0.01, 0.05, 0.5, 1.0, 40.0])
def test_the_threshold_learns_from_any_value_and_counts_as_one_of_a_difference(threshold):
    difference = torch.tensor([[[[0.02, 0.05, 0.08]]]])
    filtration = Filtration("learnable", threshold=threshold, surrogate="sigmoid", temperature=0.02)
    mask = filtration(difference)
    mask.sum().backward()
    assert filtration.threshold.grad.item() < -5
    bounded = Filtration(
        "learnable", threshold=min(max(threshold, 0), 1), surrogate="sigmoid", temperature=0.02
    )
    assert torch.equal(mask, bounded(difference))


def test_a_threshold_without_dimensions_is_read():
    filtration = Filtration("learnable", threshold=0.3, surrogate="sigmoid", temperature=0.02)
    filtration.load_state_dict({"threshold": torch.tensor(0.25)})
    assert filtration.threshold.tolist() == [0.25]


@pytest.mark.parametrize(
    ("surrogate", "reaches", "threshold", "head"),
    [
        ("sigmoid", "threshold", True, False),
        ("sigmoid", "reconstruction", True, True),
        ("sign", "reconstruction", False, False),
    ],
)
def test_gradient_of_what_follows_reaches_what_it_is_to_teach(surrogate, reaches, threshold, head):
    model = module(surrogate=surrogate, mask_gradient=reaches)
    levels, image = scene()
    model(levels, image).levels[0].square().sum().backward()
    assert bool(model.filtration.threshold.grad.abs() > 0) is threshold
    gradient = model.head.output.weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is head


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
            ["none", "fixed", "learnable", "soft"],
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
    model._filtered(difference, 4).sum().backward()
    assert difference.grad.nonzero().tolist() == [[0, 0, row, column]]
    torch.testing.assert_close(model.filtration.threshold.grad, -difference.grad.sum()[None])


@pytest.mark.parametrize("enhancement", ["attention", "multiply", "concatenate", "residual", "image", "none"])
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


def losses_of(model, levels, image, valid=None, boxes=None, ignore=None):
    nothing = [torch.zeros(0, 4)] * len(image)
    return model.losses(model(levels, image, valid), image, valid, boxes or nothing, ignore or nothing)


def test_a_soft_mask_is_a_sigmoid_around_the_threshold():
    filtration = Filtration("soft", threshold=0.2, surrogate="sigmoid", temperature=0.1)
    mask = filtration(torch.tensor([[[[0.1, 0.2, 0.4]]]]))
    torch.testing.assert_close(mask.flatten(), torch.tensor([-1.0, 0.0, 2.0]).sigmoid())
    mask.sum().backward()
    assert filtration.threshold.grad < 0


def test_reconstruction_alone_leaves_the_levels_and_has_no_threshold_to_learn():
    levels, image = scene()
    model = module(enhancement="none")
    output = model(levels, image)
    assert output.levels == tuple(levels)
    assert "filtration.threshold" not in dict(model.named_parameters())
    model.loss(output.reconstruction, image).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("switches", [{"enhancement": "attention"}, {"enhancement": "residual"}])
def test_several_levels_are_enhanced_each_by_its_own_weights(switches):
    torch.manual_seed(0)
    levels, image = scene()
    model = module(levels=2, **switches)
    if switches["enhancement"] == "residual":
        torch.nn.init.normal_(model.enhancement.output.weight)
        torch.nn.init.normal_(model.further[0].output.weight)
    output = model(levels, image)
    assert all(not torch.equal(a, b) for a, b in zip(output.levels, levels, strict=True))
    sum(level.sum() for level in output.levels).backward()
    assert all(p.grad is not None for p in model.further.parameters())


def test_more_levels_than_there_are_is_refused():
    with pytest.raises(ValueError, match="only 2"):
        module(levels=3)


@pytest.mark.parametrize("enhancement", ["residual", "image"])
def test_pixels_are_given_back_to_the_cell_they_lie_in(enhancement):
    model = module(enhancement=enhancement)
    levels, image = scene(size=32)
    assert torch.equal(model(levels, image).levels[0], levels[0])  # at first nothing is added
    torch.nn.init.normal_(model.enhancement.output.weight)
    other = image.clone()
    other[0, :, 9, 10] = 1 - other[0, :, 9, 10]
    changed = (model(levels, image).levels[0] != model(levels, other).levels[0]).any(dim=1)
    rows, columns = changed[0].nonzero().unbind(1)
    assert not changed[1].any()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 3, 1, 3)  # cell (2, 2), 3x3 kernel


def test_an_image_that_fills_no_whole_cell_is_padded_for_its_pixels():
    model = module(enhancement="residual")
    assert model([torch.randn(1, 16, 3, 4)], torch.rand(1, 3, 10, 13)).levels[0].shape == (1, 16, 3, 4)


def test_what_is_rebuilt_well_adds_nothing():
    levels, image, valid = padded_pair()
    model = module(enhancement="residual")
    torch.nn.init.normal_(model.enhancement.output.weight)
    model.head.forward = lambda _: image
    torch.nn.init.zeros_(model.enhancement.hidden.bias)
    assert torch.equal(model(levels, image, valid).levels[0], levels[0])


@pytest.mark.parametrize(
    "switches", [{}, {"enhancement": "none"}, {"enhancement": "image"}, {"mask": "distilled"}]
)
def test_predicting_does_no_more_than_it_needs_and_gives_the_same_levels(switches):
    levels, image, valid = padded_pair()
    model = module(**switches)
    wanted = model(levels, image, valid).levels
    rebuilt = []
    model.head.register_forward_hook(lambda *_: rebuilt.append(1))
    given = model.enhanced(levels, image, valid)
    assert all(torch.equal(a, b) for a, b in zip(given, wanted, strict=True))
    assert bool(rebuilt) is (switches == {})


def test_a_distilled_mask_learns_the_mask_of_the_difference():
    levels, image, valid = padded_pair()
    model = module(mask="distilled", threshold=0.3, resize="nearest")
    wanted = model._filtered(model(levels, image, valid).difference, 4).detach()
    assert 0 < wanted.mean() < 1
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        losses = losses_of(model, levels, image, valid)
        losses["loss_mask"].backward()
        optimizer.step()
    mask = model(levels, image, valid).mask
    inside = valid[..., ::4, ::4]
    assert ((mask > 0.5) == (wanted > 0.5))[inside].float().mean() > 0.95
    assert model.head.output.weight.grad is None


def test_a_mask_taught_by_boxes_learns_the_cells_that_objects_touch():
    levels, image = scene()
    model = module(mask="boxes")
    boxes = [torch.tensor([[5.0, 5.0, 7.0, 7.0], [20.0, 12.0, 28.0, 14.0]]), torch.zeros(0, 4)]
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        losses_of(model, levels, image, boxes=boxes)["loss_mask"].backward()
        optimizer.step()
    found = (model(levels, image).mask > 0.5)[:, 0].nonzero().tolist()
    assert found == [[0, 1, 1], [0, 3, 5], [0, 3, 6]]


def test_cells_to_ignore_do_not_teach_the_mask():
    levels, image = scene()
    model = module(mask="boxes")
    everything = [torch.tensor([[0.0, 0.0, 32.0, 32.0]])] * 2
    assert losses_of(model, levels, image, ignore=everything)["loss_mask"] == 0
    assert losses_of(model, levels, image)["loss_mask"] > 0


def test_touched_cells_equal_the_plain_loop():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * 70 - 5
    boxes = torch.cat([corners, corners + torch.rand(40, 2, generator=generator) * 6], dim=1)
    wanted = torch.zeros(15, 16, dtype=torch.bool)
    for left, top, right, bottom in boxes.tolist():
        for row in range(15):
            for column in range(16):
                wanted[row, column] |= (
                    left < 4 * column + 4 and right > 4 * column and top < 4 * row + 4 and bottom > 4 * row
                )
    assert torch.equal(touched_cells(boxes, (15, 16), 4), wanted)


@pytest.mark.parametrize("enhancement", ["attention", "residual", "image", "none"])
def test_a_predicted_mask_stands_beside_every_enhancement(enhancement):
    levels, image = scene()
    model = module(mask="boxes", enhancement=enhancement)
    for parameter in model.enhancement.parameters():
        torch.nn.init.normal_(parameter)
    output = model(levels, image)
    assert torch.equal(output.mask, output.logits.sigmoid())
    for one, other in zip(output.levels, model.enhanced(levels, image), strict=True):
        assert torch.equal(one, other)


def test_the_harmless_kind_leaves_levels_and_backbone_alone_and_learns_its_maps():
    levels, image = scene()
    levels[0].requires_grad_()
    config = SelfReconstructionConfig.harmless()
    model = SelfReconstruction(channels=levels[0].shape[1], strides=(4, 8), config=config)
    output = model(levels, image)
    assert all(one is other for one, other in zip(output.levels, levels, strict=True))
    boxes = [torch.tensor([[4.0, 4.0, 12.0, 12.0]])] * len(image)
    losses = model.losses(output, image, None, boxes, [torch.empty(0, 4)] * len(image))
    assert losses.keys() == {"loss_reconstruction", "loss_mask"}
    sum(losses.values()).backward()
    assert levels[0].grad is None
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_mask_taught_by_boxes_weighs_few_objects_as_much_as_all_the_rest():
    objects, boxes = torch.zeros(1, 1, 16, 16), [torch.tensor([[8.0, 8.0, 16.0, 12.0]])]  # two cells of 256
    objects[0, 0, 2, 2:4] = 1
    no_regions = [torch.empty(0, 4)]
    logits = torch.where(objects > 0, -2.0, -3.0)
    loss = box_loss(logits, boxes, no_regions, stride=4, valid=None)
    expected = (torch.tensor(2.0).exp() + 1).log() / 2 + (torch.tensor(-3.0).exp() + 1).log() / 2
    torch.testing.assert_close(loss, expected)
    without = box_loss(logits, [torch.empty(0, 4)], no_regions, stride=4, valid=None)
    assert without > 0
    both = box_loss(
        logits.repeat(2, 1, 1, 1), [*boxes, torch.empty(0, 4)], no_regions * 2, stride=4, valid=None
    )
    torch.testing.assert_close(both, (loss + without) / 2)  # whichever process has which image


OURS = ["gated", "normalised", "add", "residual", "image"]


@pytest.mark.parametrize("enhancement", OURS)
@pytest.mark.parametrize("levels_enhanced", [1, 2])
def test_what_is_not_the_papers_starts_by_leaving_the_levels_as_they_are(enhancement, levels_enhanced):
    levels, image = scene()
    model = module(enhancement=enhancement, levels=levels_enhanced)
    output = model(levels, image)
    assert all(torch.equal(a, b) for a, b in zip(output.levels, levels, strict=True))
    output.levels[0].square().sum().backward()
    learned = [p.grad for p in model.enhancement.parameters() if p.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in learned)  # and it does learn


def test_a_gate_changes_the_level_where_the_mask_is_set_alone():
    levels, _ = scene()
    model = module(enhancement="gated")
    torch.nn.init.ones_(model.enhancement.gate)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, 0, 2, 3] = 1
    changed = (model.enhanced_by(levels, mask)[0] != levels[0]).any(dim=1)
    assert changed.nonzero().tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_full_mask_and_an_empty_one_leave_the_mean_factor_alike(value):
    levels, _ = scene()
    model = module(enhancement="normalised")
    torch.nn.init.ones_(model.enhancement.gate)
    factor = model.enhanced_by(levels, torch.full((2, 1, 8, 8), value))[0] / levels[0]
    expected = (2 * model.enhancement.attention(levels[0])).expand_as(factor)
    torch.testing.assert_close(factor, expected, rtol=1e-4, atol=1e-4)


def test_a_mask_from_elsewhere_needs_an_enhancement_that_reads_it():
    levels, _ = scene()
    with pytest.raises(ValueError, match="reads no mask"):
        module(enhancement="none").enhanced_by(levels, torch.ones(2, 1, 8, 8))


def test_the_own_mask_from_elsewhere_gives_the_own_levels():
    levels, image = scene()
    model = module(threshold=0.35)
    output = model(levels, image)
    assert torch.equal(model.enhanced_by(levels, output.mask)[0], output.levels[0])


def test_a_relative_difference_asks_for_more_where_all_is_rough():
    image = torch.zeros(1, 3, 64, 128)
    image[..., 64:] = 0.2 * torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    image[..., 30, 20] = image[..., 30, 100] = 0.3
    found = relative_difference(torch.zeros_like(image), image)[0, 0]
    assert found[30, 20] > 0.95
    assert 0.5 < found[30, 100] < 0.8
    assert found[10, 10] == 0


def test_a_high_pass_sees_a_dot_and_neither_the_reconstruction_nor_a_flat_image():
    image = torch.full((1, 3, 20, 20), 0.5)
    assert high_pass(torch.rand(1, 3, 20, 20), image).abs().max() < 1e-6
    image[..., 7, 9] = 1.0
    found = high_pass(torch.zeros_like(image), image)[0, 0]
    assert found[7, 9] == found.max() == pytest.approx(0.5 * (1 - 1 / 81), abs=1e-5)


def test_local_means_are_those_of_the_pixels_inside():
    values = torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    means = local_mean(values, 5)
    torch.testing.assert_close(means[0, 0, 0, 0], values[0, 0, :3, :3].mean())
    torch.testing.assert_close(means[0, 0, 3, 3], values[0, 0, 1:6, 1:6].mean())


def test_an_object_is_painted_over_by_its_surroundings():
    image = torch.full((1, 3, 40, 40), 0.25)
    image[..., 20:, :] = 0.75
    objects = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    objects[..., 5:9, 5:9] = True
    image[..., 5:9, 5:9] = 1.0
    painted = painted_over(image, objects, window=9)
    torch.testing.assert_close(painted[..., 5:9, 5:9], torch.full((1, 3, 4, 4), 0.25))
    assert torch.equal(painted[~objects.expand(1, 3, 40, 40)], image[~objects.expand(1, 3, 40, 40)])
    everything = torch.ones_like(objects)
    assert torch.equal(painted_over(image, everything), image)


def dotted():
    """Two images, grey but for a bright square in the first, and its box."""
    image = torch.full((2, 3, 32, 32), 0.4)
    image[0, :, 8:12, 16:20] = 0.9
    return image, [torch.tensor([[16.0, 8.0, 20.0, 12.0]]), torch.zeros(0, 4)]


@pytest.mark.parametrize(("target", "expected"), [("image", 0.5), ("background", None), ("painted", 0.0)])
def test_what_is_rebuilt_on_objects(target, expected):
    """The gradient on an object's pixels, and elsewhere, is that of the wanted value."""
    image, boxes = dotted()
    model = module(target=target)
    output = model([torch.randn(2, 16, 8, 8), torch.randn(2, 16, 4, 4)], image)
    rebuilt = torch.full_like(image, 0.4, requires_grad=True)
    nothing = [torch.zeros(0, 4)] * 2
    model.losses(output._replace(reconstruction=rebuilt), image, None, boxes, nothing)[
        "loss_reconstruction"
    ].backward()
    inside, outside = rebuilt.grad[0, :, 8:12, 16:20], rebuilt.grad[1]
    assert outside.abs().max() < 1e-7
    if expected:
        assert inside.max() < 0  # it is to become brighter
    else:
        assert inside.abs().max() < 1e-7


def test_the_head_can_learn_without_teaching_the_backbone():
    levels, image = scene()
    levels[0].requires_grad_()
    for reaches, taught in (("heads", False), ("backbone", True)):
        levels[0].grad = None
        model = module(losses_teach=reaches, enhancement="none")
        model.loss(model(levels, image).reconstruction, image).backward()
        assert model.head.output.weight.grad.abs().sum() > 0
        assert (levels[0].grad is not None) is taught


def test_a_quantile_threshold_sets_the_asked_share_whatever_it_starts_from():
    generator = torch.Generator().manual_seed(0)
    for start in (0.0, 1.0):
        filtration = Filtration(
            "quantile", threshold=start, surrogate="sigmoid", temperature=0.02, share=0.1
        ).train()
        for _ in range(300):
            mask = filtration(torch.rand(2, 1, 40, 40, generator=generator) ** 3)
        assert 0.07 < mask.mean() < 0.13
        before = filtration.threshold.clone()
        filtration.eval()(torch.zeros(1, 1, 8, 8))
        assert torch.equal(filtration.threshold, before)
        assert not list(filtration.parameters())


def test_levels_stay_as_they_are_until_the_head_has_learned():
    levels, image = scene()
    model = module(opens_after=2).train()
    same = [torch.equal(model(levels, image).levels[0], levels[0]) for _ in range(4)]
    assert same == [True, True, False, False]
    reloaded = module(opens_after=2).eval()
    assert torch.equal(reloaded(levels, image).levels[0], levels[0])
    reloaded.load_state_dict(model.state_dict())
    assert not torch.equal(reloaded(levels, image).levels[0], levels[0])


def test_a_map_of_objects_is_learned_in_training_alone():
    image, boxes = dotted()
    levels = [torch.nn.functional.pixel_unshuffle(image, 4)[:, :16], torch.zeros(2, 16, 4, 4)]
    model = module(object_map_weight=10.0, enhancement="none").train()
    optimizer = torch.optim.Adam(model.object_map.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        losses = losses_of(model, levels, image, boxes=boxes)
        losses["loss_object_map"].backward()
        optimizer.step()
    found = model(levels, image).object_logits > 0
    wanted = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    wanted[0, 0, 8:12, 16:20] = True
    assert torch.equal(found, wanted)
    assert model.eval()(levels, image).object_logits is None
