"""One program finds in real images what the detector finds, whatever their number and size."""

import onnx
import pytest
import torch

from srtod.detectors.systems import options_of
from srtod.inference import for_inference, load_finder, predict
from srtod.inference.exporting import FORMATS, export
from srtod.inference.exporting.formats import ExportedDetector
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
        ("cascade-rcnn", True, "onnx"),
        ("retinanet", True, "openvino"),
        ("retinanet", True, "torch"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                ("cascade-rcnn", True, "openvino"),
                ("cascade-rcnn", True, "torch"),
                ("atss", True, "onnx"),
                ("atss", True, "torch"),
                ("retinanet", True, "onnx"),
                ("faster-rcnn", False, "onnx"),
            )
        ),
    ],
)
def test_one_file_finds_what_the_detector_finds(
    system, self_reconstruction, format, photographs, draw, same, tmp_path
):
    detector = draw(system, self_reconstruction=self_reconstruction)
    path = tmp_path / f"program{FORMATS[format].suffix}"
    export(detector, path, format=format)
    finder = load_finder(path, trust_weights=True)
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
        load_finder(path, trust_weights=True)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a readable exported file"):
        load_finder(path, trust_weights=True)


def test_a_wrong_ending_or_format_is_told_before_any_work(small_detector, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export(small_detector, tmp_path / "a.pt2", format="onnx")
    with pytest.raises(InputError, match="use onnx, openvino, torch"):
        export(small_detector, tmp_path / "a.onnx", format="tflite")


def test_a_file_that_can_run_code_is_not_opened_unasked(tmp_path, monkeypatch):
    (tmp_path / "a.pt2").write_bytes(b"anything")
    monkeypatch.setattr("torch.export.load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(
        InputError, match=r"a\.pt2: .* any code .*ONNX \(\.onnx\) or safetensors.*--trust-weights"
    ):
        load_finder(tmp_path / "a.pt2")
    with pytest.raises(InputError, match="--trust-weights"):
        next(predict(torch.zeros(3, 32, 32), tmp_path / "a.pt2"))


GOOD = {
    "boxes": torch.tensor([[1.0, 2, 9, 8], [0, 0, 5, 5]]),
    "scores": torch.tensor([0.9, 0.5]),
    "labels": torch.tensor([0, 1]),
    "images": torch.tensor([0, 0]),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.tensor([-5, 0])}, "labels outside of its 2 classes"),
        ({"labels": torch.tensor([0, 99])}, "labels outside of its 2 classes"),
        ({"labels": torch.tensor([0.5, 0])}, "not whole numbers"),
        ({"boxes": torch.tensor([[1.0, 2, 9, float("nan")]] * 2)}, "boxes that are far outside"),
        ({"boxes": torch.full((2, 4), 1e30)}, "boxes that are far outside"),
        ({"boxes": torch.zeros(2, 3)}, r"outputs of the shapes \[2, 3\], \[2\]"),
        ({"scores": torch.tensor([7.0, 0.5])}, "scores outside"),
        ({"scores": torch.tensor([float("nan"), 0.5])}, "scores outside"),
        ({"images": torch.tensor([0, 1])}, "images that are not there"),
        ({"images": torch.tensor([0])}, "outputs of the shapes"),
    ],
)
def test_outputs_that_are_no_detections_are_refused(changes, message, tmp_path):
    config = options_of("retinanet")(classes=("a", "b"))
    image = torch.zeros(3, 32, 32)
    found = ExportedDetector(lambda *_: tuple(GOOD.values()), config, tmp_path / "a.onnx")([image])
    assert torch.equal(found[0]["boxes"], GOOD["boxes"])
    wrong = ExportedDetector(lambda *_: tuple((GOOD | changes).values()), config, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=rf"a\.onnx: gives .*{message}"):
        wrong([image])


def test_more_detections_than_configured_and_failing_programs_are_refused(tmp_path):
    config = options_of("retinanet")(classes=("a", "b"), detections_per_image=1)
    with pytest.raises(InputError, match="2 detections of 1 images"):
        ExportedDetector(lambda *_: tuple(GOOD.values()), config, tmp_path / "a")([torch.zeros(3, 32, 32)])
    with pytest.raises(InputError, match="fails on these images: 'x'"):
        ExportedDetector(lambda *_: {}["x"], config, tmp_path / "a.onnx")([torch.zeros(3, 32, 32)])


def test_programs_that_may_never_end_are_refused(tmp_path):
    on = onnx.helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, [])
    body = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["on"], ["on2"])], "b", [], [])
    loop = onnx.helper.make_node("Loop", ["", "on"], ["out"], body=body)
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([loop], "g", [on], [])), tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"a\.onnx: has loops"):
        load_finder(tmp_path / "a.onnx")
