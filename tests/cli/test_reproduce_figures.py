import json
import shutil

import numpy as np
import pytest
from PIL import Image

from srtod.cli import main as command_line


@pytest.fixture(scope="module")
def folder(small_weights, tmp_path_factory):
    """Weights with and without self-reconstruction, two images and their annotations."""
    folder = tmp_path_factory.mktemp("figures")
    for path in small_weights.iterdir():
        shutil.copy(path, folder)
    for name in "ab":
        pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    record = {"id": 5, "file_name": "a.png", "width": 64, "height": 48}
    marked = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [20, 20, 6, 6], "area": 36, "iscrowd": 0}
    (folder / "gt.json").write_text(
        json.dumps({"images": [record], "categories": [{"id": 1, "name": "drone"}], "annotations": [marked]})
    )
    return folder


def run(monkeypatch, *arguments):
    """Return the exit code of ``srtod reproduce``."""
    monkeypatch.setattr("sys.argv", ["srtod", "reproduce", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code or 0


def test_a_figure_of_two_places(folder, tmp_path, monkeypatch, capsys):
    weights = ("--weights", folder / "selfrec.safetensors")
    places = ("--at", "30,20", "--at", "5,5")
    out = tmp_path / "figures" / "one.svg"
    code = run(
        monkeypatch, "figure-1", folder / "a.png", folder / "b.png", *weights, *places, "--output", out
    )
    assert code == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.stat().st_size > 0


@pytest.mark.parametrize("name", ["figure-3", "figure-4"])
def test_a_figure_of_an_annotated_object(name, folder, tmp_path, monkeypatch):
    weights = ("--weights", folder / "selfrec.safetensors", "--annotations", folder / "gt.json")
    assert run(monkeypatch, name, folder / "a.png", *weights, "--output", tmp_path) == 0
    assert (tmp_path / f"{name}.png").is_file()


def test_weights_without_self_reconstruction_are_bad_data(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    weights = ("--weights", folder / "plain.safetensors")
    assert run(monkeypatch, "figure-1", folder / "a.png", *weights, "--output", out) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "without self-reconstruction" in line
    assert not out.exists()
