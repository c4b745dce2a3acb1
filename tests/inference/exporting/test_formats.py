"""One program finds in real images what the detector finds, whatever their number and size."""

import pytest
import torch

from srtod.inference import for_inference, load_finder
from srtod.inference.exporting import FORMATS, export
from srtod.support.errors import InputError


def assert_same(finder, detector, images, same, *, at_least=20):
    for batch in ([images[0]], [images[1]], list(images)):
        with torch.inference_mode():
            expected, found = for_inference(detector)(batch), finder(batch)
        assert all(len(own["boxes"]) >= at_least for own in expected)
        for own, other in zip(found, expected, strict=True):
            assert same(own, other) >= 0.99


def tiny_images():
    """Images of which some levels have a single cell, or that are smaller than one."""
    draw = torch.Generator().manual_seed(0)
    return [torch.rand(3, *size, generator=draw) for size in ((33, 31), (5, 9), (64, 1))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "self_reconstruction", "format"),
    [
        *(("cascade-rcnn", True, format) for format in FORMATS),
        ("atss", True, "onnx"),
        ("atss", True, "torch"),
        ("retinanet", True, "onnx"),
        ("faster-rcnn", False, "onnx"),
    ],
)
def test_one_file_finds_what_the_detector_finds(
    system, self_reconstruction, format, photographs, draw, same, tmp_path
):
    detector = draw(system, self_reconstruction=self_reconstruction)
    path = tmp_path / f"program{FORMATS[format].suffix}"
    export(detector, path, format=format)
    finder = load_finder(path)
    assert_same(finder, detector, photographs, same)
    assert_same(finder, detector, tiny_images(), same, at_least=0)


def test_an_exported_file_takes_the_place_of_weights(small_file, small_detector, photographs, same):
    finder = load_finder(small_file)
    assert finder.classes == ("person", "boat")
    assert finder.device == torch.device("cpu")
    assert_same(finder, small_detector, photographs, same)


def test_tiny_images_are_taken(small_file, small_detector, same):
    assert_same(load_finder(small_file), small_detector, tiny_images(), same, at_least=0)


def test_what_an_exported_file_cannot_change_is_refused(small_file):
    with pytest.raises(InputError, match="score threshold is fixed"):
        load_finder(small_file, score_threshold=0.3)
    with pytest.raises(InputError, match="run on the CPU"):
        load_finder(small_file, device="cuda")


@pytest.mark.parametrize("suffix", [own.suffix for own in FORMATS.values()])
def test_missing_and_damaged_files_are_told(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match="no such exported file"):
        load_finder(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a readable exported file"):
        load_finder(path)


def test_a_wrong_ending_or_format_is_told_before_any_work(small_detector, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export(small_detector, tmp_path / "a.pt2", format="onnx")
    with pytest.raises(InputError, match="use onnx, openvino, torch"):
        export(small_detector, tmp_path / "a.onnx", format="tflite")
