"""``srtod export`` as a user types it."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

import srtod
from srtod.cli.main import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line; gives exit code and what is said on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["srtod", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "one.png")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 6, 6], "area": 36, "iscrowd": 0}
    truth = {
        "images": [{"id": 1, "file_name": "one.png", "width": 80, "height": 60}],
        "categories": [{"id": 1, "name": "drone"}],
        "annotations": [box],
    }
    (tmp_path / "val.json").write_text(json.dumps(truth))
    return tmp_path


def test_the_exported_file_predicts_and_evaluates_as_the_weights_do(run, small_weights, dataset):
    weights, exported = small_weights / "selfrec.safetensors", dataset / "drones.onnx"
    assert run("export", "--weights", weights, "--format", "onnx", "--output", exported)[0] == 0
    found = {}
    for file in (weights, exported):
        folder, metrics = dataset / f"found{file.suffix}", dataset / f"metrics{file.suffix}.json"
        picture = dataset / "images" / "one.png"
        assert run("predict", picture, "--weights", file, "--output", folder, "--device", "cpu")[0] == 0
        assert run("evaluate", dataset, "--weights", file, "--json", metrics, "--device", "cpu")[0] == 0
        boxes = json.loads((folder / "detections.json").read_text())
        found[file.suffix] = [box["bbox"] for box in boxes], json.loads(metrics.read_text())["AP"]
    assert len(found[".onnx"][0]) > 0
    np.testing.assert_allclose(found[".onnx"][0], found[".safetensors"][0], atol=0.01)
    assert found[".onnx"][1] == pytest.approx(found[".safetensors"][1], abs=1e-3)


def test_what_cannot_be_exported_ends_at_once_with_exit_code_2(run, tmp_path, monkeypatch):
    weights = tmp_path / "dyhead.safetensors"
    srtod.build_detector("dyhead", classes=("drone",), backbone="resnet10t", pyramid_channels=16).save(
        weights
    )
    monkeypatch.setattr("torch.export.export", lambda *_, **__: pytest.fail("began to work"))
    code, err = run("export", "--weights", weights, "--format", "onnx", "--output", tmp_path / "a.onnx")
    assert code == 2
    assert err.startswith("error: export: dyhead has deformable convolutions")
    assert not (tmp_path / "a.onnx").exists()


def test_no_file_is_replaced_unasked_and_the_weights_never(run, small_weights, tmp_path):
    weights, mine = small_weights / "plain.safetensors", tmp_path / "mine.onnx"
    mine.write_text("my work")
    code, err = run("export", "--weights", weights, "--format", "onnx", "--output", mine)
    assert code == 2 and "exists; choose another name" in err and mine.read_text() == "my work"
    (tmp_path / "a.bin").write_text("my work")
    code, err = run("export", "--weights", weights, "--format", "openvino", "--output", tmp_path / "a.xml")
    assert code == 2 and "a.bin: exists" in err and not (tmp_path / "a.xml").exists()


@pytest.mark.parametrize(
    ("format", "name", "words"),
    [
        ("tflite", "a.tflite", "'tflite' is not one of 'onnx', 'openvino', 'torch'"),
        ("torch", "a.onnx", r"ends in .pt2"),
    ],
)
def test_a_wrong_format_or_ending_is_told_before_the_weights_are_read(run, tmp_path, format, name, words):
    output = tmp_path / name
    code, err = run("export", "--weights", tmp_path / "no", "--format", format, "--output", output)
    assert code == 2
    assert words in err
