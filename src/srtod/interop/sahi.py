"""A detector of ours inside SAHI: its slicing, its merging, its commands. Needs the package ``sahi``."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sahi.models.base import DetectionModel
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

from srtod.inference import load_finder
from srtod.inference.inputs import GivenImage, to_tensor
from srtod.types import Detections, Finder


class SrtodDetectionModel(DetectionModel):
    """What ``sahi.predict`` takes as ``detection_model``.

    Give ``model_path`` (weights, an exported program or a hub id) or ``model`` (anything that finds objects).
    SAHI drops detections below ``confidence_threshold``; what the detector itself drops never reaches it.
    """

    model: Finder

    def load_model(self) -> None:
        """Load what ``model_path`` names, onto SAHI's device."""
        self.set_model(load_finder(str(self.model_path), device=str(self.device), calibrated=False))

    def set_model(self, model: Finder, **_: Any) -> None:
        """Take a detector in evaluation mode, or what else finds objects; it stays on its device."""
        self.model = model
        self.category_mapping = {str(label): name for label, name in enumerate(model.classes)}

    def perform_inference(self, image: NDArray[np.uint8]) -> None:
        """Find the objects of one image, see :meth:`GivenImage.of <srtod.inference.inputs.GivenImage.of>`."""
        self.perform_batch_inference([image])

    def perform_batch_inference(self, images: list[NDArray[np.uint8]]) -> None:
        """Find the objects of some images at once."""
        given = [GivenImage.of(image, number).read() for number, image in enumerate(images, start=1)]
        tensors = [to_tensor(tensor, self.model.device) for tensor in given]
        with torch.inference_mode():
            self._original_predictions = self.model(tensors)

    def _create_object_prediction_list_from_original_predictions(
        self,
        shift_amount_list: list[list[int | float]] | None = None,
        full_shape_list: list[list[int | float]] | None = None,
    ) -> None:
        found: list[Detections] = self._original_predictions
        shifts = fix_shift_amount_list(shift_amount_list or [0, 0])
        shapes = fix_full_shape_list(full_shape_list) or [None] * len(found)
        self._object_prediction_list_per_image = [
            self._of_image(*image) for image in zip(found, shifts, shapes, strict=True)
        ]

    def _of_image(self, found: Detections, shift: Any, shape: Any) -> list[ObjectPrediction]:
        columns = (found[name].tolist() for name in ("boxes", "scores", "labels"))
        return [
            ObjectPrediction(
                bbox=box,
                category_id=label,
                category_name=self.model.classes[label],
                score=score,
                shift_amount=shift,
                full_shape=shape,
            )
            for box, score, label in zip(*columns, strict=True)
            if box[2] > box[0] and box[3] > box[1] and score >= self.confidence_threshold
        ]
