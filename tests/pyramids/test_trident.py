import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srtod.pyramids.backbone import Backbone
from srtod.pyramids.trident import BranchedConv, TridentPyramid
from srtod.support.errors import InputError

MODELS = ("resnet10t", "resnet18", "resnet26")


def backbone(name="resnet10t", *, norm_eval=True, frozen_stages=0):
    """A fresh backbone whose blocks are not silenced by the zero that their last BatchNorm starts at."""
    torch.manual_seed(0)
    own = Backbone(name, pretrained=False, frozen_stages=frozen_stages, norm_eval=norm_eval)
    for parameter in own.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return own


def dilated(own, dilation):
    """The features of a backbone whose stage of stride 16 has 3x3 convolutions of this dilation."""
    own = copy.deepcopy(own)
    for module in own.body["layer3"].modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            module.dilation = module.padding = (dilation, dilation)
    return lambda images: own.eval()(images)[2]


@pytest.mark.parametrize("name", MODELS)
def test_branches_are_the_stage_at_other_dilations(name):
    own, images = backbone(name), torch.rand(2, 3, 96, 64)
    alone = [dilated(own, dilation)(images) for dilation in (1, 2, 3)]
    keys = own.state_dict().keys()
    pyramid = TridentPyramid(own)
    assert own.state_dict().keys() == keys
    torch.testing.assert_close(pyramid.train()(images)[0], torch.cat(alone))
    torch.testing.assert_close(pyramid.eval()(images)[0], alone[1])
    assert pyramid.training_copies == 3
    assert pyramid.strides == (16,)
    assert not torch.allclose(alone[0], alone[1], rtol=0.1)
    assert alone[0].shape == (2, pyramid.channels, 6, 4)


def test_gradients_of_the_branches_add_up():
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)
    features = torch.rand(3, 4, 7, 5)
    F.conv2d(features, conv.weight, None, 2, 1, 1, 2).sum().backward()
    F.conv2d(features, conv.weight, None, 2, 4, 4, 2).sum().backward()
    expected, conv.weight.grad = conv.weight.grad, None
    branched = BranchedConv(conv, dilations=(1, 4), test_branch=0)
    branched(torch.cat([features, features])).sum().backward()
    torch.testing.assert_close(branched.weight.grad, expected)
    assert [key for key, _ in branched.named_parameters()] == ["weight"]


def test_batch_norm_counts_over_all_branches():
    own, images = backbone(norm_eval=False), torch.rand(2, 3, 64, 64)
    pyramid = TridentPyramid(own).train()
    before = own.body["layer3"][0].bn1.running_mean.clone()
    pyramid(images)
    norm = own.body["layer3"][0].bn1
    assert norm.num_batches_tracked == 1
    assert not torch.equal(norm.running_mean, before)


def test_frozen_stages_stay_frozen():
    own = backbone(frozen_stages=3, norm_eval=False)
    TridentPyramid(own).train()
    assert not any(p.requires_grad for p in own.body["layer3"].parameters())
    assert not own.body["layer3"][0].bn2.training
    assert all(p.requires_grad for p in own.body["layer4"].parameters())


@pytest.mark.parametrize("frozen_stages", [1, 4])
def test_last_stage_is_held_like_the_backbone(frozen_stages):
    own = backbone(frozen_stages=frozen_stages, norm_eval=False)
    stage = own.take_last_stage().train()
    frozen = frozen_stages == 4
    assert all(p.requires_grad is not frozen for p in stage.parameters())
    assert stage[0].bn1.training is not frozen
    assert stage.channels == stage(torch.rand(2, own.channels[-1], 14, 14)).shape[1] == 512
    assert len(own(torch.rand(1, 3, 32, 32))) == 3
    assert not any(key.startswith("body.layer4") for key in own.state_dict())
    assert not backbone(norm_eval=True).take_last_stage().train()[0].bn1.training


@pytest.mark.parametrize("name", ["mobilenetv2_100", "res2net50_14w_8s", "convnext_atto"])
def test_other_backbones_are_refused(name):
    with pytest.raises(InputError, match=f"'{name}' is no ResNet"):
        TridentPyramid(backbone(name))
    with pytest.raises(InputError, match="is no ResNet"):
        backbone(name).take_last_stage()
