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


def test_weights_without_self_reconstruction_say_so(tmp_path, image, weights, monkeypatch, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, image, "--weights", weights / "plain.safetensors", "--output", out) == 2
    assert "without self-reconstruction" in capsys.readouterr().err
    assert not out.exists()
