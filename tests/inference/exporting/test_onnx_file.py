"""What people meet who deploy without srtod."""

import json
import re
import subprocess
import sys
from pathlib import Path

import onnx
from PIL import Image

from srtod.inference import load_finder, predict

DOCUMENT = Path(__file__).parents[3] / "docs" / "export.md"


def test_the_file_has_standard_operators_alone_and_says_what_it_finds(small_file):
    model = onnx.load(small_file)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert [own.domain for own in model.opset_import] == [""]
    assert [own.name for own in model.graph.input] == ["images", "sizes"]
    assert [own.name for own in model.graph.output] == ["boxes", "scores", "labels", "image_indices"]
    held = json.loads({own.key: own.value for own in model.metadata_props}["srtod"])
    assert held["config"]["classes"] == ["person", "boat"]
    assert held["config"]["resize"] == [320, 320]
    assert held["version"]


def test_the_example_of_the_document_runs_without_srtod(small_file, photographs, tmp_path):
    (code,) = re.findall(r"```python\n(import json\n.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert "import srtod" not in code
    assert len(code.strip().splitlines()) <= 14
    pixels = (photographs[1] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).resize((320, 256)).save(tmp_path / "image.png")
    (tmp_path / "detector.onnx").write_bytes(small_file.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (expected,) = predict(load_finder(small_file), [tmp_path / "image.png"])
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected.boxes) > 0
    assert lines[0].startswith(load_finder(small_file).classes[expected.labels[0]])
