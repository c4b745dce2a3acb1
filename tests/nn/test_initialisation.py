import pytest
import torch
from torch import nn

from srtod.nn.initialisation import near_zero, zero


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 16, 3), nn.Linear(32, 64)])
def test_layers_start_at_zero_or_near_it(layer):
    assert zero(layer, bias=2.0) is layer
    assert not layer.weight.any()
    assert torch.equal(layer.bias, torch.full_like(layer.bias, 2.0))
    assert near_zero(layer, std=0.1) is layer
    assert float(layer.weight.detach().std()) == pytest.approx(0.1, rel=0.2)
    assert not layer.bias.any()


def test_a_layer_may_have_no_bias():
    assert zero(nn.Conv2d(2, 3, 1, bias=False)).bias is None
