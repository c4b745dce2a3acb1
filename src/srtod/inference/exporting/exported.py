"""An exported file in the place of its detector."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from srtod.boxes.candidates import Candidates
from srtod.detectors.border.images import check_images
from srtod.detectors.config import DetectorConfig
from srtod.detectors.preprocess import Preprocess
from srtod.types import Detections

Run = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Images ``[B, 3, H, W]`` and sizes ``[B, 2]`` on the CPU to the outputs of a program."""


class ExportedDetector:
    """An exported file that finds what its detector found.

    Args:
        run: the program.
        config: of the detector.
    """

    device = torch.device("cpu")

    def __init__(self, run: Run, config: DetectorConfig) -> None:
        self.classes = config.classes
        self._run, self._preprocess = run, Preprocess(resize=config.resize)

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1, of any sizes.

        Raises:
            InputError: no images, or a wrong one.
        """
        check_images(images)
        batch = self._preprocess(images)
        boxes, scores, labels, image_of = self._run(batch.raw, batch.size_table)
        return self._preprocess.restore(Candidates(image_of, boxes, scores, labels), batch)
