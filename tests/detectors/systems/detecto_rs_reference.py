"""How ``detecto_rs_reference.safetensors`` was made: what MMDetection's DetectoRS gives for weights by rule.

Run where MMDetection is installed with its compiled operators (made with the fork onedl-mmdetection 3.5.1 and
onedl-mmcv 2.3.6, on a CPU in float32)::

    python tests/detectors/systems/detecto_rs_reference.py

The detector is that of MMDetection's configuration ``detectors/detectors_cascade-rcnn_r50_1x_coco``: Cascade
R-CNN, recursive pyramid and switchable atrous convolution, here for 4 classes and anchors of scale 2. The
samplers keep all candidates, so that nothing depends on chance. The weights are calm: activations stay near
1, so rounding is not amplified.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

FILE = Path(__file__).with_suffix(".safetensors")
CONFIGURATION = "mmdet::detectors/detectors_cascade-rcnn_r50_1x_coco.py"
CLASSES, SCALE = 4, 2
SIZE = (96, 128)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
GAINS = {
    ".offset_": 0.05,
    ".weight_diff": 0.05,
    "_context.": 0.1,
    ".switch.weight": 0.3,
    "rpn_reg": 2.0,
    "fc_reg": 5.0,
    "fc_cls": 5.0,
    "rpn_cls": 5.0,
}
"""By part of a key; others 1."""


def weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Weights by rule for MMDetection's keys, given all keys and shapes of a detector."""
    return {key: _weight(key, shapes) for key in shapes}


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """An image ``[3, H, W]`` in 0..1, and boxes and labels of its objects."""
    image = np.random.RandomState(7).randint(0, 256, (3, *SIZE)).astype(np.float32) / 255
    boxes = torch.tensor([[10.0, 12, 22, 21], [40, 30, 47, 40], [60.5, 8.25, 110, 80]])
    return torch.from_numpy(image), boxes, torch.tensor([0, 2, 3])


def _weight(key: str, shapes: dict[str, list[int]]) -> Tensor:
    shape = shapes[key]
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("num_batches_tracked"):
        value = np.zeros(shape)
    elif key.endswith("running_var"):
        value = np.exp(0.2 * noise)
    elif key.endswith("switch.bias"):
        value = 0.35 + 0.1 * noise
    elif key.endswith(("bias", "running_mean")):
        value = 0.02 * noise
    elif key.endswith("weight_gamma"):
        value = (1 + 0.1 * noise) / _fan_in(shapes[key.removesuffix("_gamma")])
    elif key.endswith("weight_beta"):
        value = 0.1 * noise / _fan_in(shapes[key.removesuffix("_beta")]) ** 2
    elif len(shape) == 1:
        value = 1 + 0.1 * noise
    else:
        value = noise / _fan_in(shape)
    gain = next((gain for part, gain in GAINS.items() if part in key), 1.0)
    return torch.tensor(gain * value, dtype=torch.float32).reshape(shape)


def _fan_in(shape: list[int]) -> float:
    return float(np.sqrt(np.prod(shape[1:])))


def main() -> None:
    """Build MMDetection's detector, run it and write the file."""
    model = _model()
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    state = weights(shapes)
    model.load_state_dict({key: state[key].to(value.dtype) for key, value in model.state_dict().items()})
    image, boxes, labels = inputs()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    batch = ((image * 255 - mean) / std)[None]
    found = _detections(model.eval(), batch)
    losses, norms = _losses(model.train(), batch, boxes, labels)
    metadata = {"shapes": json.dumps(shapes), "losses": json.dumps(losses), "norms": json.dumps(norms)}
    save_file(found, FILE, metadata)


def _model() -> Any:
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.hub import get_config

    register_all_modules()
    settings = get_config(CONFIGURATION).model
    settings.backbone.init_cfg = settings.neck.rfp_backbone.pretrained = None
    settings.rpn_head.anchor_generator.scales = [SCALE]
    for head in settings.roi_head.bbox_head:
        head.num_classes = CLASSES
    for part in (settings.train_cfg.rpn, *settings.train_cfg.rcnn):
        part.sampler.num = 10**6
    return MODELS.build(settings)


def _sample(boxes: Tensor, labels: Tensor) -> Any:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    meta = {"img_shape": SIZE, "ori_shape": SIZE, "pad_shape": SIZE, "batch_input_shape": SIZE}
    sample = DetDataSample(metainfo={**meta, "scale_factor": (1.0, 1.0)})
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return sample


def _detections(model: Any, batch: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        levels = model.extract_feat(batch)
        (result,) = model.predict(batch, [_sample(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))])
    found = result.pred_instances
    named = {f"level{index}": level[:, ::16] for index, level in enumerate(levels)}
    named |= {"boxes": found.bboxes, "scores": found.scores, "labels": found.labels}
    return {name: value.contiguous() for name, value in named.items()}


def _losses(
    model: Any, batch: Tensor, boxes: Tensor, labels: Tensor
) -> tuple[dict[str, float], dict[str, float]]:

    total, values = model.parse_losses(model.loss(batch, [_sample(boxes, labels)]))
    total.backward()
    norms = {
        key: float(parameter.grad.norm())
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return {key: float(value.detach()) for key, value in values.items()}, norms


if __name__ == "__main__":
    main()
