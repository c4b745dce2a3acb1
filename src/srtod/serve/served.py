"""What one server has loaded: a finder and, where it reconstructs, its twin without enhancement."""

import numpy as np
import torch
from numpy.typing import NDArray

from srtod import __version__
from srtod.data.depth import stretch_of
from srtod.detectors.detector import Detector
from srtod.inference.ensemble import Ensemble
from srtod.inference.inputs import to_tensor
from srtod.inference.speed import InferenceDetector
from srtod.plots.palette import class_colour, hex_colour
from srtod.results import coco_results
from srtod.serve.layers import layers_of
from srtod.serve.limits import Limits
from srtod.serve.schema import (
    About,
    ClassColour,
    CocoAnnotation,
    CocoCategory,
    CocoDetections,
    CocoImage,
    Maps,
)
from srtod.support.errors import InputError
from srtod.types import Detections, Finder

NO_RECONSTRUCTION = "These weights are of a detector without self-reconstruction, so it has no maps."
_WARM_UP_SIDE = 256
ONLY_MAPS = "The self-reconstruction of these weights is there to be looked at."
NO_LEVELS = "An exported program gives detections alone, so it has no maps."
FUSED = "Several detectors are fused, which have no maps in common."


class Served:
    """Images to what the routes answer.

    Args:
        finder: a detector in evaluation mode, or a program made from one.
    """

    def __init__(self, finder: Finder) -> None:
        self.finder, self.stretch = finder, stretch_of(finder)
        self._detector = finder if isinstance(finder, Detector) and finder.self_reconstruction else None
        self._plain = None if self._detector is None else _without_enhancement(self._detector)
        self._no_maps_because = "" if self._detector is not None else _why_no_maps(finder)

    def about(self, limits: Limits) -> About:
        """Tell what is loaded and what is taken."""
        return About(
            version=__version__,
            model=_describe(self.finder),
            classes=[
                ClassColour(id=label + 1, name=name, colour=hex_colour(class_colour(label)))
                for label, name in enumerate(self.finder.classes)
            ],
            has_maps=self._detector is not None,
            has_enhancement=self._plain is not None,
            no_maps_because=self._no_maps_because,
            max_upload_bytes=limits.upload_bytes,
            max_pixels=limits.pixels,
        )

    def detect(
        self, image: NDArray[np.uint8], name: str, *, score_threshold: float, enhancement: bool
    ) -> CocoDetections:
        """Find objects.

        Args:
            image: uint8 ``[H, W, 3]``, RGB.
            name: of the image in the answer.
            score_threshold: detections below are left out.
            enhancement: False switches the enhancement of the finest level off.

        Raises:
            InputError: there is no enhancement to switch off.
        """
        finder = self.finder if enhancement else self._plain
        if finder is None:
            raise InputError(f"{self._no_maps_because or ONLY_MAPS} There is no enhancement to switch off.")
        with torch.inference_mode():
            found = finder([to_tensor(image, finder.device)])[0]
        return _coco(found, image, name, finder.classes, score_threshold)

    def maps(self, image: NDArray[np.uint8]) -> Maps:
        """Tell what self-reconstruction sees in an image, uint8 ``[H, W, 3]``.

        Raises:
            InputError: there is none.
        """
        if self._detector is None:
            raise InputError(self._no_maps_because)
        maps = self._detector.explain(to_tensor(image, self._detector.device))
        return Maps(
            layers=layers_of(image, {name: values.float().cpu().numpy() for name, values in maps.items()})
        )

    def warm_up(self) -> None:
        """Do once what requests will ask for: the first one shall not wait for what is slow only once."""
        image = np.zeros((_WARM_UP_SIDE, _WARM_UP_SIDE, 3), dtype=np.uint8)
        self.detect(image, "", score_threshold=0.0, enhancement=True)
        if self._detector is not None:
            self.maps(image)


def _without_enhancement(detector: Detector) -> Detector | None:
    """The detector whose levels stay as they are; None where they do anyway."""
    if detector.self_reconstruction is None or not detector.self_reconstruction.config.enhances:
        return None
    plain = type(detector).sharing(detector, self_reconstruction=False)
    if isinstance(plain, InferenceDetector) and isinstance(detector, InferenceDetector):
        plain.precision, plain.least = detector.precision, detector.least
    return plain


def _why_no_maps(finder: Finder) -> str:
    if isinstance(finder, Ensemble):
        return FUSED
    return NO_RECONSTRUCTION if isinstance(finder, Detector) else NO_LEVELS


def _describe(finder: Finder) -> str:
    if isinstance(finder, Ensemble):
        return f"ensemble of {'; '.join(map(_describe, finder.members))}"
    if not isinstance(finder, Detector):
        return "exported program"
    config = finder.config
    plus = " + self-reconstruction" if config["self_reconstruction"] else ""
    return f"{config['system']}{plus}, {config['backbone']}"


def _coco(
    found: Detections,
    image: NDArray[np.uint8],
    name: str,
    classes: tuple[str, ...],
    score_threshold: float,
) -> CocoDetections:
    kept = found["scores"] >= score_threshold
    rows = coco_results(
        1,
        found["boxes"][kept].cpu().numpy(),
        found["scores"][kept].cpu().numpy(),
        found["labels"][kept].cpu().numpy(),
        category_ids=range(1, len(classes) + 1),
        rounded=True,
    )
    return CocoDetections(
        images=[CocoImage(id=1, file_name=name, width=image.shape[1], height=image.shape[0])],
        categories=[CocoCategory(id=number, name=own) for number, own in enumerate(classes, start=1)],
        annotations=[
            CocoAnnotation(id=number, area=round(row["bbox"][2] * row["bbox"][3], 4), **row)
            for number, row in enumerate(rows, start=1)
        ],
    )
