import pytest
import torch

import srtod


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """A folder with weights without and with self-reconstruction: plain and selfrec .safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    for name, switch in (("plain", False), ("selfrec", {"head": "lite"})):
        torch.manual_seed(0)
        srtod.build_detector(
            "faster-rcnn",
            classes=("drone",),
            backbone="test_resnet",
            pyramid_channels=16,
            box_channels=16,
            rpn_proposals=(50, 20),
            self_reconstruction=switch,
        ).save(folder / f"{name}.safetensors")
    return folder
