import pytest
import torch
import torch.nn.functional as F

from srtod.deformable import deform_conv2d


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


def test_a_mask_weights_each_part_of_the_kernel():
    inputs, weight = random_inputs()
    mask = torch.zeros(2, 9, 6, 7)
    mask[:, 4] = 0.5
    found = deform_conv2d(inputs, torch.zeros(2, 18, 6, 7), weight, padding=1, mask=mask)
    torch.testing.assert_close(found, F.conv2d(inputs, 0.5 * weight[:, :, 1:2, 1:2]))


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
