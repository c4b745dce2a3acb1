import pytest
import torch

from srtod.data.images import read_image
from srtod.inference import load_detector, predict
from srtod.support.errors import InputError


def test_predictions_are_those_of_the_detector(detector, tmp_path, write_image):
    path = write_image(tmp_path / "a.png")
    (prediction,) = predict(detector, [path])
    image = torch.from_numpy(read_image(path)).permute(2, 0, 1) / 255
    with torch.no_grad():
        (expected,) = detector([image])
    assert len(expected["boxes"]) > 0
    assert (prediction.boxes == expected["boxes"].numpy()).all()
    assert (prediction.scores == expected["scores"].numpy()).all()
    assert (prediction.labels == expected["labels"].numpy()).all()
    assert (prediction.image == read_image(path)).all()


def test_images_are_asked_for_one_batch_at_a_time(detector, tmp_path, write_image):
    paths = [write_image(tmp_path / f"{index}.png", seed=index) for index in range(5)]
    asked = []
    found = predict(detector, (asked.append(path) or path for path in paths), batch_size=2)
    assert asked == []
    seen = [next(found).path]
    assert asked == paths[:2]
    seen += [prediction.path for prediction in found]
    assert seen == paths


def test_a_bad_image_stops_unless_it_is_handled(detector, tmp_path, write_image):
    good, bad = write_image(tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"b\.png: not an image"):
        list(predict(detector, [bad, good]))
    left_out = []
    found = list(
        predict(detector, [bad, good, bad], batch_size=2, on_bad=lambda path, _: left_out.append(path))
    )
    assert [prediction.path for prediction in found] == [good]
    assert left_out == [bad, bad]


def test_no_images_and_no_batch(detector):
    assert list(predict(detector, [])) == []
    with pytest.raises(InputError, match="at least 1"):
        list(predict(detector, [], batch_size=0))


@pytest.mark.parametrize("threshold", [0.0, 0.9])
def test_the_threshold_of_the_weights_can_be_overridden(detector, tmp_path, write_image, threshold):
    detector.save(tmp_path / "w.safetensors")
    loaded = load_detector(tmp_path / "w.safetensors", device="cpu", score_threshold=threshold)
    path = write_image(tmp_path / "a.png")
    (every,), (kept,) = predict(detector, [path]), predict(loaded, [path])
    assert kept.scores.tolist() == pytest.approx(every.scores[every.scores > threshold].tolist(), abs=1e-5)
    assert not loaded.training


def test_a_threshold_outside_0_to_1_is_refused(detector, tmp_path):
    detector.save(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="score_threshold"):
        load_detector(tmp_path / "w.safetensors", device="cpu", score_threshold=1.5)
