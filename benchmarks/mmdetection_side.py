"""The other side of ``benchmarks/mmdetection.py``: a detector of MMDetection that does as it is told.

Runs under the interpreter that has MMDetection and imports nothing of srtod. First it prints the names of its
weights; then it obeys one line of standard input after the other and answers each with one line:

    load FILE   takes these weights (a torch file with one tensor a name)
    run         detects once and answers with the seconds
    save FILE   writes the detections of the last run
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import mmdet  # ty: ignore[import-not-found]
import numpy as np
import torch
from mmdet.registry import MODELS  # ty: ignore[import-not-found]
from mmdet.structures import DetDataSample  # ty: ignore[import-not-found]
from mmdet.utils import register_all_modules  # ty: ignore[import-not-found]
from mmengine.config import Config  # ty: ignore[import-not-found]

PREPROCESSING = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}


def main() -> None:
    """Obey until the input ends; what libraries print goes to standard error."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("config", help="path within MMDetection's configs")
        parser.add_argument("image", type=Path, help="uint8 RGB [3, H, W] as .npy")
        parser.add_argument("--device", default="cpu")
        parser.add_argument("--threads", type=int, required=True)
        parser.add_argument("--fuse", action="store_true", help="fold BatchNorm with MMDetection's own tool")
        options = parser.parse_args()
        torch.set_num_threads(options.threads)
        side = Side(options)
        print(json.dumps(list(side.model.state_dict())), file=answers, flush=True)
        for line in sys.stdin:
            word, *rest = line.split()
            print(json.dumps(getattr(side, word)(*rest)), file=answers, flush=True)


class Side:
    """A detector and an image."""

    def __init__(self, options: argparse.Namespace) -> None:
        register_all_modules(init_default_scope=True)
        configs = Path(mmdet.__file__).parent / ".mim" / "configs"
        self.options = options
        self.model = MODELS.build(adapted(Config.fromfile(configs / options.config).model))
        self.model = self.model.to(options.device).eval()
        pixels = torch.from_numpy(np.load(options.image)).flip(0)
        size = tuple(pixels.shape[1:])
        self.image = pixels.to(options.device)
        self.about = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)}
        self.found: Any = None

    def load(self, path: str) -> None:
        """Take weights."""
        own = self.model.state_dict()
        given = torch.load(path, weights_only=True)
        self.model.load_state_dict({name: given[name].reshape(own[name].shape) for name in own})
        if self.options.fuse:
            from mmcv.cnn.utils import fuse_conv_bn  # ty: ignore[import-not-found]

            self.model = fuse_conv_bn(self.model)

    @torch.inference_mode()
    def run(self) -> float:
        """Detect once; return seconds."""
        start = time.perf_counter()
        sample = DetDataSample(metainfo=dict(self.about))
        self.found = self.model.test_step({"inputs": [self.image], "data_samples": [sample]})[0]
        if self.options.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def save(self, path: str) -> None:
        """Write boxes, scores and labels of the last run."""
        found = self.found.pred_instances
        torch.save({"boxes": found.bboxes, "scores": found.scores, "labels": found.labels}, path)


def adapted(config: Any) -> Any:
    """The configuration without downloads, with one class, no score threshold, PyTorch's ResNet and RGB."""
    if isinstance(config, list):
        return [adapted(item) for item in config]
    if not isinstance(config, dict):
        return config
    changes = {
        "init_cfg": None,
        "pretrained": None,
        "num_classes": 1,
        "style": "pytorch",
        "score_thr": 0.0,
        **PREPROCESSING,
    }
    changed = {key: changes.get(key, adapted(value)) for key, value in config.items()}
    if "score_thr" in changed:
        changed["max_per_img"] = 1500
    return type(config)(changed)


if __name__ == "__main__":
    main()
