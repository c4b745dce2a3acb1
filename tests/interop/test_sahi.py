import numpy as np
import pytest
import torch
from sahi.predict import get_prediction, get_sliced_prediction

import srtod
from srtod.interop.sahi import SrtodDetectionModel


class Bright:
    """Finds one box around all white pixels of an image."""

    classes = ("square",)
    device = torch.device("cpu")

    def __call__(self, images):
        return [self._find(image) for image in images]

    def _find(self, image):
        white = image.amin(dim=0) > 0.9
        rows, columns = white.nonzero(as_tuple=True)
        boxes = torch.zeros(0, 4)
        if len(rows):
            corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            boxes = torch.tensor([[float(corner) for corner in corners]])
        return {
            "boxes": boxes,
            "scores": torch.full((len(boxes),), 0.8),
            "labels": torch.zeros(len(boxes), dtype=torch.long),
        }


@pytest.fixture
def picture():
    picture = np.zeros((100, 200, 3), dtype=np.uint8)
    picture[20:28, 10:20] = 255
    picture[70:76, 150:157] = 255
    return picture


def boxes(result):
    return sorted(tuple(map(round, one.bbox.to_xyxy())) for one in result.object_prediction_list)


@pytest.mark.parametrize("kind", ["RGBA", "grey"])
def test_arrays_of_other_channels_are_images(picture, kind):
    opaque = np.full(picture.shape[:2], 255, np.uint8)
    image = np.dstack([picture, opaque]) if kind == "RGBA" else picture[:, :, 0]
    model = SrtodDetectionModel(model=Bright(), confidence_threshold=0.5)
    model.perform_inference(image)
    assert [found["boxes"].tolist() for found in model._original_predictions] == [[[10, 20, 157, 76]]]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_sahi_slices_for_us(picture, batch_size):
    model = SrtodDetectionModel(model=Bright(), confidence_threshold=0.5)
    result = get_sliced_prediction(
        picture,
        model,
        slice_height=64,
        slice_width=64,
        perform_standard_pred=False,
        verbose=0,
        batch_size=batch_size,
    )
    assert boxes(result) == [(10, 20, 20, 28), (150, 70, 157, 76)]
    assert {one.category.name for one in result.object_prediction_list} == {"square"}


def test_its_threshold_drops_what_is_below(picture):
    assert boxes(get_prediction(picture, SrtodDetectionModel(model=Bright(), confidence_threshold=0.5)))
    assert not boxes(get_prediction(picture, SrtodDetectionModel(model=Bright(), confidence_threshold=0.9)))


def test_weights_are_loaded_by_their_path(picture, tmp_path):
    torch.manual_seed(0)
    detector = srtod.build_detector(
        "faster-rcnn",
        classes=("drone",),
        backbone="resnet10t",
        pyramid_channels=32,
        box_channels=16,
        score_threshold=0.0,
        detections_per_image=5,
    )
    detector.save(tmp_path / "w.safetensors")
    model = SrtodDetectionModel(
        model_path=str(tmp_path / "w.safetensors"), device="cpu", confidence_threshold=0.0
    )
    found = get_prediction(picture, model).object_prediction_list
    assert len(found) == 5
    assert {one.category.name for one in found} == {"drone"}
