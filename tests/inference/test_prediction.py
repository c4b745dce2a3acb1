from io import BytesIO

import numpy as np
import pytest
import supervision
import torch
from PIL import Image

from srtod.inference import Prediction, to_supervision
from srtod.inference.inputs import GivenImage, ImageFile
from srtod.support.errors import InputError

FOUND = {
    "boxes": torch.tensor([[1.0, 2, 5, 9], [3, 3, 8, 8]]),
    "scores": torch.tensor([0.9, 0.2]),
    "labels": torch.tensor([1, 0]),
}
NONE = {name: value[:0] for name, value in FOUND.items()}


@pytest.fixture
def prediction():
    pixels = np.full((48, 64, 3), 90, np.uint8)
    return Prediction.of(GivenImage.of(pixels), pixels, ("drone", "bird"), FOUND)


def test_a_prediction_is_drawn_and_saved_and_never_over_a_file(prediction, tmp_path):
    prediction.save(tmp_path / "new" / "a.png", min_score=0.1)
    picture = Image.open(tmp_path / "new" / "a.png")
    assert picture.size == prediction.plot(min_score=0.1).size
    with pytest.raises(InputError, match=r"a\.png: exists; choose another name"):
        prediction.save(tmp_path / "new" / "a.png")
    with pytest.raises(InputError, match=r"a\.txt: no kind of picture"):
        prediction.save(tmp_path / "a.txt")
    prediction.save(tmp_path / "b.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.jpg", "new"]
    (tmp_path / "b.jpg").write_bytes(b"")
    prediction.save(tmp_path / "b.jpg", overwrite=True)
    assert Image.open(tmp_path / "b.jpg").size == picture.size


def test_a_picture_never_takes_the_place_of_its_image(tmp_path):
    pixels = np.zeros((48, 64, 3), np.uint8)
    source = ImageFile(tmp_path / "a.png", "a.png", 1)
    Image.fromarray(pixels).save(source.path)
    with pytest.raises(InputError, match="is an input"):
        Prediction.of(source, pixels, ("drone", "bird"), FOUND).save(source.path, overwrite=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": torch.zeros(2, 5)}, r"boxes: numbers \[M, 4\] are needed, not \[2, 5\]"),
        ({"scores": torch.zeros(3)}, r"scores: numbers \[2\] are needed, not \[3\]"),
        ({"labels": torch.zeros(2, 1)}, r"labels: numbers \[2\] are needed, not \[2, 1\]"),
    ],
)
def test_detections_of_other_shapes_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        to_supervision({**FOUND, **change})


def test_detections_that_lack_something_and_ids_of_other_classes_are_refused(prediction):
    with pytest.raises(InputError, match="boxes, scores and labels"):
        to_supervision({"boxes": FOUND["boxes"]})
    with pytest.raises(InputError, match="category_ids: one for each of 2 classes, not 1"):
        prediction.to_coco([1])


def test_a_prediction_shows_itself(prediction):
    assert repr(prediction) == "<1 drone, 1 bird in an image (64 x 48 px)>"
    assert Image.open(BytesIO(prediction._repr_png_())).format == "PNG"


def test_a_prediction_as_coco_results_and_for_supervision(prediction):
    assert prediction.names == ("bird", "drone")
    first, second = prediction.to_coco()
    assert (first["image_id"], first["category_id"], first["category_name"]) == (1, 2, "bird")
    assert first["bbox"] == [1, 2, 4, 7] and second["score"] == pytest.approx(0.2)
    assert [row["category_id"] for row in prediction.to_coco((7, 9))] == [9, 7]
    given = prediction.to_supervision()
    assert given.data["class_name"].tolist() == ["bird", "drone"]
    np.testing.assert_array_equal(given.xyxy, prediction.boxes)


def test_boxes_scores_labels_and_names_are_carried_over():
    given = to_supervision(FOUND, ("drone", "bird"))
    assert isinstance(given, supervision.Detections)
    np.testing.assert_array_equal(given.xyxy, [[1, 2, 5, 9], [3, 3, 8, 8]])
    np.testing.assert_array_equal(given.class_id, [1, 0])
    np.testing.assert_allclose(given.confidence, [0.9, 0.2], rtol=1e-6)
    assert given.data["class_name"].tolist() == ["bird", "drone"]
    assert given[given.confidence > 0.5].data["class_name"].tolist() == ["bird"]


@pytest.mark.parametrize("classes", [(), ("drone",)])
def test_an_image_without_detections(classes):
    given = to_supervision(NONE, classes)
    assert (len(given), given.xyxy.shape) == (0, (0, 4))
    assert len(supervision.Detections.merge([given, to_supervision(FOUND, ("drone", "bird"))])) == 2


def test_detections_with_gradients_as_other_detectors_give_them_are_taken():
    given = to_supervision(FOUND | {"boxes": FOUND["boxes"].clone().requires_grad_()})
    np.testing.assert_array_equal(given.xyxy, FOUND["boxes"])


def test_labels_without_a_name_are_refused():
    with pytest.raises(InputError, match="label 1 has no name among the 1 classes"):
        to_supervision(FOUND, ("drone",))
