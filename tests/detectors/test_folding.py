import pytest
import timm
import torch
from torch import nn

from srtod.detectors.folding import fold_batch_norm, settle_standardised_weights
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.switchable import StandardisedConv2d, SwitchableAtrousConv2d, standardise_weights


def with_statistics(network):
    """Statistics and scales as after a training, so that a wrong fold shows."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                if tensor is not None:
                    tensor.data.uniform_(low, high, generator=generator)
    return network.eval()


def norms(network):
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def assert_same(network, inputs, *, folded):
    with torch.inference_mode():
        before = network(inputs)
        count = norms(network)
        assert fold_batch_norm(network) == folded
        assert norms(network) == count - folded
        for own, wanted in zip(network(inputs), before, strict=True):
            assert (own - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", ["test_resnet", "resnet18d", "mobilenetv2_100", "regnetx_002"])
def test_backbones_give_the_same_features_without_batch_norm(name):
    torch.manual_seed(0)
    backbone = with_statistics(Backbone(name, pretrained=False, frozen_stages=0, norm_eval=False))
    assert_same(backbone, torch.randn(1, 3, 64, 96), folded=norms(backbone))


def test_batch_norm_before_a_convolution_stays():
    network = with_statistics(timm.create_model("densenet121", features_only=True))
    assert_same(network, torch.randn(1, 3, 64, 64), folded=59)


class Parts(nn.Module):
    """A convolution, a BatchNorm, and a way to use them."""

    def __init__(self, use, *, conv=None, norm=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(3, 4, 3)
        self.norm = norm or nn.BatchNorm2d(4)
        self.use = use

    def forward(self, x):
        return self.use(self, x)


class Centred(nn.Conv2d):
    """Convolves with other weights than its own."""

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)


def straight(parts, x):
    return (parts.norm(parts.conv(x)),)


@pytest.mark.parametrize(
    ("network", "folded"),
    [
        (Parts(straight), 1),
        (Parts(straight, conv=nn.Conv2d(3, 4, 3, bias=False), norm=nn.BatchNorm2d(4, affine=False)), 1),
        (Parts(lambda p, x: (p.norm(y := p.conv(x)) + y,)), 0),
        (Parts(lambda p, x: (p.norm(p.conv(x)), p.conv(-x))), 0),
        (Parts(lambda p, x: (p.norm(p.conv(x)), p.norm(p.conv(x).relu()))), 0),
        (Parts(lambda p, x: (p.norm(p.conv(x).relu()),)), 0),
        (Parts(straight, conv=Centred(3, 4, 3)), 0),
        (Parts(straight, norm=nn.BatchNorm2d(4, track_running_stats=False)), 0),
        (Parts(straight, norm=nn.GroupNorm(2, 4)), 0),
    ],
    ids=[
        "plain",
        "no bias, no scale",
        "output read twice",
        "convolution used twice",
        "norm used twice",
        "activation between",
        "weights of its own making",
        "no statistics",
        "another norm",
    ],
)
def test_only_what_can_be_folded_is_folded(network, folded):
    torch.manual_seed(0)
    assert_same(with_statistics(network), torch.randn(2, 3, 8, 8), folded=folded)


def test_parts_that_cannot_be_followed_are_gone_around():
    def depends_on_values(parts, x):
        return parts.norm(parts.conv(x if x.sum() > 0 else -x))

    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        Parts(depends_on_values, conv=nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    )
    assert_same(with_statistics(network), torch.randn(1, 3, 8, 8), folded=2)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_batch_norm(Parts(straight).train())


def test_standardised_weights_are_settled_and_switchable_ones_are_not():
    torch.manual_seed(0)
    backbone = Backbone("test_resnet", pretrained=False, frozen_stages=0, norm_eval=False)
    standardise_weights(backbone, switchable_atrous=True)
    network, inputs = with_statistics(backbone), torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        before = network(inputs)
        settle_standardised_weights(network)
        assert {type(module) for module in network.modules() if isinstance(module, StandardisedConv2d)} == {
            SwitchableAtrousConv2d
        }
        for own, wanted in zip(network(inputs), before, strict=True):
            torch.testing.assert_close(own, wanted)
    switchable = sum(isinstance(module, SwitchableAtrousConv2d) for module in network.modules())
    assert_same(network, inputs, folded=norms(network) - switchable)
