import json

import numpy as np
import pytest
from PIL import Image

from srtod.cli import main as command_line


@pytest.fixture
def weights(small_weights):
    return small_weights


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "set" / "images" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def run(monkeypatch, *arguments):
    """Return the exit code of ``srtod explain``."""
    monkeypatch.setattr("sys.argv", ["srtod", "explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code or 0


def test_one_figure_and_each_map(tmp_path, image, weights, monkeypatch):
    annotations = tmp_path / "set" / "gt.json"
    annotations.write_text(
        json.dumps(
            {
                "images": [{"id": 5, "file_name": "a.png", "width": 64, "height": 48}],
                "categories": [{"id": 1, "name": "drone"}],
                "annotations": [
                    {
                        "id": 1,
                        "image_id": 5,
                        "category_id": 1,
                        "bbox": [20, 20, 6, 6],
                        "area": 36,
                        "iscrowd": 0,
                    }
                ],
            }
        )
    )
    out = tmp_path / "out"
    selfrec = weights / "selfrec.safetensors"
    assert run(monkeypatch, image, "--weights", selfrec, "--output", out, "--annotations", annotations) == 0
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.png" for name in ("explain", "input", "p2_before", "p2_after")),
        *(f"{name}.png" for name in ("reconstruction", "difference", "mask")),
        "maps.npz",
    }


@pytest.mark.parametrize("name", ["w.onnx", "w.xml", "w.pt2"])
def test_exported_files_have_no_maps(tmp_path, image, monkeypatch, capsys, name):
    (tmp_path / name).write_bytes(b"a program")
    assert run(monkeypatch, image, "--weights", tmp_path / name, "--output", tmp_path / "out") == 2
    said = f"{name}: exported files find objects alone and have no maps; give the .safetensors file"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_how_an_image_of_16_bits_is_stretched_is_said(tmp_path, image, weights, monkeypatch, capsys):
    frame = np.random.default_rng(0).integers(7400, 7500, (48, 64)).astype(np.uint16)
    Image.fromarray(frame).save(image)
    selfrec = weights / "selfrec.safetensors"
    assert run(monkeypatch, image, "--weights", selfrec, "--output", tmp_path / "one") == 0
    assert "a.png: its values, 7400 to 7499 of 0 to 65535" in capsys.readouterr().err
    told = ("--stretch", "7400,7500")
    assert run(monkeypatch, image, "--weights", selfrec, "--output", tmp_path / "two", *told) == 0
    assert "its values" not in capsys.readouterr().err


def test_what_is_wrong_in_other_images_does_not_matter_and_in_this_one_is_told(
    tmp_path, image, weights, monkeypatch, capsys
):
    def annotate(width):
        images = [
            {"id": n, "file_name": f"{name}.png", "width": 64, "height": 48}
            for n, name in ((5, "a"), (6, "b"))
        ]
        box = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [20, 20, width, 6]}
        content = {"images": images, "categories": [{"id": 1, "name": "drone"}], "annotations": [box]}
        (tmp_path / "set" / "gt.json").write_text(json.dumps(content))

    selfrec = weights / "selfrec.safetensors"
    asked = (image, "--weights", selfrec, "--annotations", tmp_path / "set" / "gt.json", "--output")
    annotate(6)  # and b.png is missing
    assert run(monkeypatch, *asked, tmp_path / "one") == 0
    annotate(0)
    assert run(monkeypatch, *asked, tmp_path / "two") == 2
    assert "has zero or negative size" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="left out: .*has zero or negative size"):
        assert run(monkeypatch, *asked, tmp_path / "three", "--skip-bad") == 0


def test_weights_without_self_reconstruction_say_so(tmp_path, image, weights, monkeypatch, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, image, "--weights", weights / "plain.safetensors", "--output", out) == 2
    assert "without self-reconstruction" in capsys.readouterr().err
    assert not out.exists()
