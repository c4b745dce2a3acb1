"""Images of every kind to predictions, whatever they come from."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

import srtod
from srtod.data.images import read_image
from srtod.inference import ImageFile, Slicing, collect_images, load_detector, memory
from srtod.inference.predict import predictions
from srtod.support.errors import InputError


@pytest.fixture
def path(tmp_path, write_image):
    return write_image(tmp_path / "in" / "a.png")


def test_predictions_are_those_of_the_detector(detector, path):
    (prediction,) = srtod.predict(path, detector)
    image = torch.from_numpy(read_image(path)).permute(2, 0, 1) / 255
    with torch.no_grad():
        (expected,) = detector([image])
    assert len(expected["boxes"]) > 0
    assert (prediction.boxes == expected["boxes"].numpy()).all()
    assert (prediction.scores == expected["scores"].numpy()).all()
    assert (prediction.labels == expected["labels"].numpy()).all()
    assert (prediction.pixels == read_image(path)).all()


def test_every_kind_of_source_gives_the_same(detector, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    pixels = read_image(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    singles = [str(path), path, path.parent, "*.png", pixels, Image.fromarray(pixels), tensor]
    (expected,) = srtod.predict(path, detector)
    for source in [*singles, *([single] for single in singles), tensor.mul(255).round().byte()]:
        (found,) = srtod.predict(source, detector)
        assert found.boxes.dtype == found.scores.dtype == np.float32 and found.labels.dtype == np.int64
        assert found.boxes.shape == (len(found), 4) and found.scores.shape == found.labels.shape == (
            len(found),
        )
        assert found.boxes == pytest.approx(expected.boxes, abs=1e-3)
        assert (found.pixels == pixels).all()
        assert len(found.names) == len(found) and set(found.names) <= {"drone", "bird"}
    mixed = list(srtod.predict([path, pixels, path], detector, batch_size=2))
    assert [own.source.image_id for own in mixed] == [1, 2, 3]
    assert [len(own) for own in mixed] == [len(expected)] * 3


@pytest.mark.parametrize("slice", [None, 32])
def test_deep_images_are_stretched_as_the_weights_say_or_as_is_asked_for(detector, tmp_path, slice):
    path = tmp_path / "a.tif"
    Image.fromarray(np.linspace(20, 40, 48 * 64, dtype=np.float32).reshape(48, 64)).save(path)
    with pytest.raises(InputError, match="pixels of float32, whose range is not known; tell it with"):
        list(srtod.predict(path, detector, slice=slice))
    detector.save(tmp_path / "w.safetensors")
    other = srtod.load(tmp_path / "w.safetensors", stretch=(20.0, 60.0))
    (asked,) = srtod.predict(path, detector, slice=slice, stretch=(20.0, 60.0))
    (carried,) = srtod.predict(path, other.eval(), slice=slice)
    for found in (asked, carried):
        pixels = found.pixels if slice is None else found.pixels.pixels
        assert (pixels[0, 0, 0], pixels[-1, -1, 0]) == (0, 128)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.jpg", "none.jpg: no such file"),
        ([], "no images were given"),
        (np.zeros((4, 4, 3)), r"image 1: an array of uint8 \[H, W, 3\], RGB, is needed, not float64"),
        ([np.zeros((2, 4, 4, 3), np.uint8)], r"image 1: .* not uint8 \[2, 4, 4, 3\]"),
        (torch.zeros(6, 5, 3), "image 1: .*permute"),
        (torch.full((3, 8, 8), 99.0), "image 1: .*divide by 255"),
        (7, "image 1: .* not int"),
    ],
)
def test_what_is_no_image_is_told_at_once(detector, source, message):
    with pytest.raises(InputError, match=message):
        srtod.predict(source, detector)


def test_a_detector_predicts_by_itself_in_evaluation_mode_whatever_mode_it_is_in(detector, path):
    (expected,) = srtod.predict(path, detector, score_threshold=0.5)
    detector.train()
    try:
        (found,) = detector.predict(path, score_threshold=0.5)
        assert detector.training
    finally:
        detector.eval()
    assert (found.boxes == expected.boxes).all() and found.scores.min(initial=1) >= 0.5
    (every,) = detector.predict(path, slice=32, batch_size=2)
    assert every.boxes.shape[1] == 4


def test_images_are_read_ahead_but_not_all_at_once(detector, tmp_path, write_image, monkeypatch):
    for at in range(9):
        write_image(tmp_path / f"{at}.png", seed=at)
    asked, read = [], ImageFile.read
    monkeypatch.setattr(ImageFile, "read", lambda image, _: (asked.append(image.image_id), read(image))[1])
    found = predictions(detector, collect_images([tmp_path]), batch_size=2)
    assert asked == [] and next(found).source.image_id == 1
    assert 4 <= len(asked) <= 6
    assert [own.source.image_id for own in found] == list(range(2, 10))
    assert sorted(asked) == list(range(1, 10))


def test_in_slices_the_next_image_is_read_while_one_is_looked_at(
    detector, tmp_path, write_image, monkeypatch
):
    for at in range(4):
        write_image(tmp_path / f"{at}.png", seed=at)
    asked, open_ = [], ImageFile.open
    monkeypatch.setattr(ImageFile, "open", lambda image, _: (asked.append(image.image_id), open_(image))[1])
    found = predictions(detector, collect_images([tmp_path]), slicing=Slicing(32))
    assert asked == [] and next(found).source.image_id == 1
    deadline = time.monotonic() + 10
    while asked != [1, 2] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert asked == [1, 2]
    assert [own.source.image_id for own in found] == [2, 3, 4]


def test_a_bad_image_stops_after_those_before_it_unless_it_is_handled(detector, tmp_path, write_image):
    good, bad = write_image(tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_bytes(b"no image")
    images = collect_images([good, bad])
    found = predictions(detector, images, batch_size=2)
    assert next(found).source == images[0]
    with pytest.raises(InputError, match=r"b\.png: not an image"):
        next(found)
    left_out = []
    found = predictions(detector, images, batch_size=2, on_bad=lambda image, _: left_out.append(image))
    assert [own.source for own in found] == images[:1] and left_out == images[1:]


def test_no_images_and_no_batch(detector):
    assert list(predictions(detector, [])) == []
    with pytest.raises(InputError, match="at least 1"):
        predictions(detector, [], batch_size=0)


@pytest.mark.parametrize("threshold", [0.0, 0.9])
def test_the_threshold_of_the_weights_can_be_overridden(detector, tmp_path, path, threshold):
    detector.save(tmp_path / "w.safetensors")
    (every,) = srtod.predict(path, detector)
    (kept,) = srtod.predict(path, tmp_path / "w.safetensors", score_threshold=threshold, device="cpu")
    assert kept.scores.tolist() == pytest.approx(every.scores[every.scores > threshold].tolist(), abs=1e-5)


def test_a_threshold_outside_0_to_1_is_refused(detector, tmp_path, path):
    detector.save(tmp_path / "w.safetensors")
    for weights in (tmp_path / "w.safetensors", detector):
        with pytest.raises(InputError, match="score_threshold"):
            srtod.predict(path, weights, score_threshold=1.5)
    with pytest.raises(
        InputError, match=r"score threshold 0\.01: .* at least 0\.05 are given out by a detector at hand"
    ):
        srtod.predict(
            path, srtod.build_detector("atss", num_classes=1, backbone="test_resnet"), score_threshold=0.01
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 1.5}, "batch size 1.5"),
        ({"batch_size": "4"}, "batch size '4'"),
        ({"slice": 64.5}, "slice 64.5"),
        ({"slice": "640"}, "slice '640'"),
        ({"score_threshold": "0.5"}, "score_threshold '0.5'"),
        ({"stretch": (5, 3)}, "stretch 5, 3"),
        ({"weights": 3}, "weights: a file, a name or a detector is needed, not int"),
    ],
)
def test_options_of_other_types_are_refused(detector, options, message):
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        list(srtod.predict(image, **{"weights": detector, **options}))


def test_half_precision_finds_nearly_the_same(detector, tmp_path, path):
    detector.save(tmp_path / "w.safetensors")
    (expected,) = srtod.predict(path, detector)
    loaded = load_detector(tmp_path / "w.safetensors", device="cpu", precision="bf16")
    assert not loaded.training
    for found in (*srtod.predict(path, loaded), *srtod.predict(path, detector, precision="bf16")):
        assert found.scores.dtype == np.float32 and (found.scores != expected.scores[: len(found)]).any()
        assert found.scores[:5] == pytest.approx(expected.scores[:5], abs=0.05)
    with pytest.raises(InputError, match="precision fp16 needs a GPU"):
        srtod.predict(path, detector, precision="fp16")


def test_how_much_fits_into_memory_is_known_of_every_kind_of_detector(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda _: 10**9)
    wide = srtod.build_detector("tridentnet", num_classes=1, backbone="test_resnet")
    thin = srtod.build_detector("faster-rcnn", num_classes=1, backbone="test_resnet", pyramid_channels=8)
    assert memory.fitting_pixels(wide) < memory.fitting_pixels(thin)
    assert len(list(srtod.predict(np.zeros((32, 32, 3), np.uint8), wide))) == 1


def test_an_image_that_needs_more_memory_than_is_free_is_looked_at_in_slices(
    detector, tmp_path, write_image, monkeypatch, capsys
):
    small, large = write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", width=900, height=700)
    whole = [*srtod.predict(small, detector), *srtod.predict(large, detector)]
    sliced = list(srtod.predict(large, detector, slice=640))
    needed = memory.free_memory(detector.device) / memory.fitting_pixels(detector)
    monkeypatch.setattr(memory, "free_memory", lambda _: 2 * 900 * 600 * needed)
    capsys.readouterr()
    found = list(srtod.predict([small, large], detector, batch_size=2))
    assert (
        "b.png: 900 x 700 pixels need more memory than is free: looked at in slices"
        in capsys.readouterr().err
    )
    assert found[0].boxes == pytest.approx(whole[0].boxes, abs=1e-3)
    assert found[1].boxes == pytest.approx(sliced[0].boxes, abs=1e-3)
    assert len(found[1]) != len(whole[1]) or not np.allclose(found[1].boxes, whole[1].boxes)
