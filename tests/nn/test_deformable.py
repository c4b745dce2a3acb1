from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torchvision import ops

from srtod.nn.deformable import by_operator, deform_conv2d, offsets_of


def random_inputs():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, 4, 6, 7, generator=generator)
    weight = torch.randn(3, 4, 3, 3, generator=generator)
    return inputs, weight


def test_without_offsets_it_is_a_convolution():
    inputs, weight = random_inputs()
    bias = torch.tensor([1.0, 2.0, 3.0])
    found = deform_conv2d(inputs, torch.zeros(2, 18, 3, 4), weight, bias=bias, stride=2, padding=(1, 1))
    torch.testing.assert_close(found, F.conv2d(inputs, weight, bias, stride=2, padding=1))


def test_offsets_are_rows_then_columns_in_pixels():
    inputs, weight = random_inputs()
    offsets = torch.zeros(2, 18, 6, 7)
    offsets[:, 0::2] = 1
    found = deform_conv2d(inputs, offsets, weight, padding=1)
    moved = F.conv2d(F.pad(inputs, (1, 1, 0, 2)), weight)
    torch.testing.assert_close(found, moved)


def test_the_order_in_memory_changes_nothing():
    inputs, weight = random_inputs()
    offsets = torch.rand(2, 18, 6, 7)
    found = deform_conv2d(
        *(own.contiguous(memory_format=torch.channels_last) for own in (inputs, offsets, weight)), padding=1
    )
    torch.testing.assert_close(found, deform_conv2d(inputs, offsets, weight, padding=1))


def test_a_mask_weights_each_part_of_the_kernel():
    inputs, weight = random_inputs()
    mask = torch.zeros(2, 9, 6, 7)
    mask[:, 4] = 0.5
    found = deform_conv2d(inputs, torch.zeros(2, 18, 6, 7), weight, padding=1, mask=mask)
    torch.testing.assert_close(found, F.conv2d(inputs, 0.5 * weight[:, :, 1:2, 1:2]))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("groups", "kernel", "options"),
    [
        (1, (3, 3), {"padding": 1}),
        (2, (3, 3), {"stride": 2, "padding": 3, "dilation": 3}),
        (1, (1, 3), {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)}),
    ],
)
def test_equal_to_the_operator_of_torchvision_with_its_gradients(groups, kernel, options, masked):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(2, 4, 7, 10, generator=generator)
    weight = torch.randn(6, 4 // groups, *kernel, generator=generator)
    size = F.conv2d(inputs, weight, groups=groups, **options).shape[-2:]
    area = kernel[0] * kernel[1]
    offsets = 3 * torch.randn(2, 2 * area, *size, generator=generator)
    mask = torch.rand(2, area, *size, generator=generator) if masked else None
    bias = torch.randn(6, generator=generator)
    given = [
        tensor.requires_grad_() for tensor in (inputs, offsets, weight, bias, mask) if tensor is not None
    ]
    found, wanted = (
        convolve(inputs, offsets, weight, bias=bias, mask=mask, **options)
        for convolve in (deform_conv2d, ops.deform_conv2d)
    )
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    gradients = [torch.autograd.grad(result.square().sum(), given) for result in (found, wanted)]
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


def test_the_operator_of_torchvision_can_be_asked_for_and_is_forgotten():
    inputs, weight = random_inputs()
    offsets = torch.rand(2, 18, 6, 7)
    wanted = ops.deform_conv2d(inputs, offsets, weight, padding=1)
    before = deform_conv2d(inputs, offsets, weight, padding=1)
    assert not torch.equal(before, wanted)
    with by_operator(), ThreadPoolExecutor() as other:
        assert torch.equal(deform_conv2d(inputs, offsets, weight, padding=1), wanted)
        elsewhere = other.submit(deform_conv2d, inputs, offsets, weight, padding=1).result()
    after = deform_conv2d(inputs, offsets, weight, padding=1)
    assert torch.equal(elsewhere, before)
    assert torch.equal(after, before)


@pytest.mark.parametrize("context", [nullcontext, by_operator])
@pytest.mark.parametrize(
    ("offsets", "mask", "options"),
    [
        ((2, 18, 6, 7), None, {}),
        ((2, 18, 6, 7), None, {"padding": 1, "stride": 2}),
        ((2, 18, 6, 7), None, {"padding": 1, "dilation": 2}),
        ((2, 18, 7, 6), None, {"padding": 1}),
        ((2, 9, 6, 7), None, {"padding": 1}),
        ((1, 18, 6, 7), None, {"padding": 1}),
        ((2, 18, 6, 7), (2, 9, 6, 6), {"padding": 1}),
        ((2, 18, 6, 7), (2, 18, 6, 7), {"padding": 1}),
    ],
)
def test_offsets_and_mask_of_another_size_are_refused(context, offsets, mask, options):
    inputs, weight = random_inputs()
    mask = None if mask is None else torch.ones(mask)
    with context(), pytest.raises(ValueError, match="instead of"):
        deform_conv2d(inputs, torch.zeros(offsets), weight, mask=mask, **options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    inputs, weight = (tensor.to(dtype) for tensor in random_inputs())
    weight.requires_grad_()
    offsets = torch.full((2, 18, 6, 7), 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        found = deform_conv2d(inputs, offsets, weight, padding=1)
    assert found.dtype == dtype
    exact = deform_conv2d(inputs.float(), offsets, weight.float(), padding=1)
    assert torch.equal(found, exact.to(dtype))
    found.float().sum().backward()
    assert weight.grad.isfinite().all()


def test_offsets_keep_their_fractions_under_autocast():
    convolution = torch.nn.Conv2d(4, 18, 3, padding=1)
    inputs, _ = random_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(inputs).dtype == torch.bfloat16
        found = offsets_of(convolution, inputs)
    assert torch.equal(found, convolution(inputs))
