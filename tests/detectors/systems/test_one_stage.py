import pytest
import torch

import srtod
from srtod.support.errors import InputError

OPTIONS = {"classes": ("boat",), "backbone": "test_resnet", "norm_eval": True, "pyramid_channels": 32}
SYSTEMS = ["retinanet", "atss", "dyhead"]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("self_reconstruction", [False, True])
def test_five_levels_from_stride_4_train_predict_and_are_saved(system, self_reconstruction, tmp_path):
    torch.manual_seed(0)
    detector = srtod.build_detector(
        system, **OPTIONS, finest_stride=4, self_reconstruction=self_reconstruction, score_threshold=0.0
    )
    image, target = torch.rand(3, 64, 96), {"boxes": torch.tensor([[17.0, 17, 23, 23]])}
    target["labels"] = torch.zeros(1, dtype=torch.long)
    assert detector.pyramid.strides == (4, 8, 16, 32, 64)
    losses = detector.train()([image, image], [target, target])
    torch.stack(list(losses.values())).sum().backward()
    finest = detector.pyramid.fpn.layer_blocks[0][0].weight
    assert finest.grad.abs().sum() > 0
    detector.eval()
    detector.save(tmp_path / "own.safetensors")
    again = srtod.load(tmp_path / "own.safetensors").eval()
    with torch.inference_mode():
        (found,), (expected,) = again([image]), detector([image])
    assert len(found["boxes"])
    assert found["boxes"].equal(expected["boxes"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_other_strides_are_refused(system):
    with pytest.raises(InputError, match="finest_stride"):
        srtod.build_detector(system, **OPTIONS, finest_stride=16)
