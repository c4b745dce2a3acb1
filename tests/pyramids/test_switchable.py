import copy

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torchvision import ops

from srtod.pyramids.backbone import Backbone
from srtod.pyramids.switchable import StandardisedConv2d, SwitchableAtrousConv2d, standardise_weights
from srtod.support.errors import InputError


def backbone(name="resnet10t", **options):
    """A fresh backbone whose blocks are not silenced by the zero that their last BatchNorm starts at."""
    torch.manual_seed(0)
    own = Backbone(name, **({"pretrained": False, "frozen_stages": 0, "norm_eval": True} | options))
    for parameter in own.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1)
    return own


def conv(inputs=4, outputs=6, **options):
    torch.manual_seed(1)
    return nn.Conv2d(inputs, outputs, 3, **({"padding": 1, "bias": False} | options))


def shaken(module):
    """The module with other weights everywhere, as training would leave it."""
    torch.manual_seed(2)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module


def test_weights_are_standardised_then_scaled_and_shifted():
    standardised = shaken(StandardisedConv2d(conv(stride=2)))
    standardised.weight_gamma.fill_(2)
    standardised.weight_beta.fill_(3)
    weight = standardised.standardised_weight().flatten(1)
    torch.testing.assert_close(weight.mean(dim=1), torch.full((6,), 3.0))
    torch.testing.assert_close(weight.std(dim=1), torch.full((6,), 2.0), rtol=1e-3, atol=0)
    x = torch.rand(2, 4, 9, 8)
    torch.testing.assert_close(standardised(x), F.conv2d(x, weight.view(6, 4, 3, 3), stride=2, padding=1))


def test_scale_and_mean_of_the_weights_have_no_gradient():
    standardised = StandardisedConv2d(conv())
    (standardised(torch.rand(2, 4, 9, 8)) ** 2).sum().backward()
    gradient, weight = (tensor.flatten(1) for tensor in (standardised.weight.grad, standardised.weight))
    torch.testing.assert_close(gradient.mean(dim=1), torch.zeros(6), atol=1e-4, rtol=0)
    along = (gradient * (weight - weight.mean(dim=1, keepdim=True))).sum(dim=1)
    torch.testing.assert_close(along, torch.zeros(6), atol=gradient.norm().item() * 1e-3, rtol=0)


def test_a_stored_spread_that_was_rounded_elsewhere_standardises_to_the_same_weights():
    here = StandardisedConv2d(conv())
    elsewhere = copy.deepcopy(here)
    elsewhere.weight_gamma *= 1 + 2e-7
    assert not torch.equal(elsewhere.weight_gamma, here.weight_gamma)
    mean = here.weight_beta
    for own in (here, elsewhere):
        rounded = own.weight_gamma * ((own.weight - mean) / own.weight_gamma) + mean
        assert torch.equal(own.standardised_weight(), rounded)
    elsewhere.weight_gamma *= 1.01
    torch.testing.assert_close(
        elsewhere.standardised_weight() - mean, 1.01 * (here.standardised_weight() - mean)
    )


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2, "padding": 2}, {"groups": 2}])
def test_a_switchable_convolution_starts_as_the_given_one(options):
    given = conv(**options)
    x = torch.rand(2, 4, 9, 8)
    torch.testing.assert_close(SwitchableAtrousConv2d(given)(x), given(x))


def test_a_switchable_convolution_step_by_step():
    own = shaken(SwitchableAtrousConv2d(conv(stride=2)))
    x = torch.rand(2, 4, 9, 8)
    seen = x + own.pre_context(x.mean((2, 3))[:, :, None, None])
    windows = F.pad(seen, (2, 2, 2, 2), mode="reflect").unfold(2, 5, 1).unfold(3, 5, 1)
    around = windows.mean((4, 5))
    share = F.conv2d(around, own.switch.weight, own.switch.bias, stride=2)
    weight = own.standardised_weight()
    fine = ops.deform_conv2d(seen, own.offset_s(around), weight, stride=2, padding=1)
    coarse = ops.deform_conv2d(
        seen, own.offset_l(around), weight + own.weight_diff, stride=2, padding=3, dilation=3
    )
    mixed = share * fine + (1 - share) * coarse
    wanted = mixed + own.post_context(mixed.mean((2, 3))[:, :, None, None])
    torch.testing.assert_close(own(x), wanted, atol=1e-4, rtol=1e-4)


def test_maps_too_small_to_mirror_are_convolved_too():
    own = shaken(SwitchableAtrousConv2d(conv()))
    assert own(torch.rand(1, 4, 2, 1)).isfinite().all()


@pytest.mark.parametrize("switchable", [False, True])
@pytest.mark.parametrize("name", ["resnet10t", "resnet26", "seresnext26d_32x4d", "resnetblur50"])
def test_a_rebuilt_backbone_computes_the_same(name, switchable):
    own, images = backbone(name).eval(), torch.rand(1, 3, 96, 64)
    before = own(images)
    standardise_weights(own, switchable_atrous=switchable)
    for found, wanted in zip(own(images), before, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=0)
    first, last = own.body["layer1"][0], own.body["layer4"][0]
    assert all(isinstance(conv, StandardisedConv2d) for conv in (first.conv2, last.conv1, last.conv2))


def test_only_the_blocks_of_stages_2_to_4_switch():
    own = standardise_weights(backbone("resnet26"), switchable_atrous=True)
    switching = [name for name, part in own.body.named_modules() if isinstance(part, SwitchableAtrousConv2d)]
    assert switching == [f"layer{stage}.{block}.conv2" for stage in (2, 3, 4) for block in (0, 1)]
    plain = standardise_weights(backbone("resnet26"), switchable_atrous=False)
    assert not any(isinstance(part, SwitchableAtrousConv2d) for part in plain.modules())


def test_frozen_stages_are_frozen_with_all_that_is_new_in_them():
    own = standardise_weights(backbone(frozen_stages=2, norm_eval=False), switchable_atrous=True).train()
    for stage in ("conv1", "layer1", "layer2"):
        assert not any(parameter.requires_grad for parameter in own.body[stage].parameters())
        norms = [part for part in own.body[stage].modules() if isinstance(part, nn.BatchNorm2d)]
        assert not any(norm.training for norm in norms)
    assert all(parameter.requires_grad for parameter in own.body["layer3"].parameters())
    assert own.body["layer3"][0].bn1.training


def test_given_weights_are_the_ones_that_are_standardised(tmp_path):
    state = shaken(backbone()).body.state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    own = standardise_weights(backbone(pretrained=tmp_path / "weights.safetensors"), switchable_atrous=True)
    for name, part in own.body.named_modules():
        if isinstance(part, StandardisedConv2d):
            given = state[f"{name}.weight"]
            torch.testing.assert_close(part.standardised_weight(), given, atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(part.weight_beta.flatten(), given.mean((1, 2, 3)))


@pytest.mark.parametrize("name", ["mobilenetv2_100", "convnext_atto", "res2net50_26w_4s"])
def test_other_backbones_are_refused(name):
    with pytest.raises(InputError, match=f"{name}.*resnet50"):
        standardise_weights(backbone(name), switchable_atrous=True)
