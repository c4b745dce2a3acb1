import numpy as np
import pytest
import supervision
import torch

from srtod.interop.supervision import to_supervision
from srtod.support.errors import InputError

FOUND = {
    "boxes": torch.tensor([[1.0, 2, 5, 9], [3, 3, 8, 8]]),
    "scores": torch.tensor([0.9, 0.2]),
    "labels": torch.tensor([1, 0]),
}
NONE = {name: value[:0] for name, value in FOUND.items()}


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
