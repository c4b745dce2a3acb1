"""What people meet who deploy without srtod."""

import json
import re
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

import srtod
from srtod.boxes.nms import grouped_nms
from srtod.inference import load_finder, predict
from srtod.inference.exporting.onnx_file import grouped_nms_in_onnx

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
    assert str(Path(srtod.__file__).parent).encode() not in small_file.read_bytes()


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
    (expected,) = predict(tmp_path / "image.png", load_finder(small_file))
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected.boxes) > 0
    assert lines[0].startswith(load_finder(small_file).classes[expected.labels[0]])


class Suppress(nn.Module):
    def forward(self, boxes, scores, groups):
        return grouped_nms(boxes, scores, groups, 0.5)


@pytest.fixture(scope="module")
def suppress():
    """Non-maximum suppression by ONNX Runtime."""
    some = torch.export.Dim.DYNAMIC(min=1, max=1000)
    example = (torch.rand(5, 4), torch.rand(5), torch.zeros(5, dtype=torch.int64))
    made = torch.onnx.export(
        torch.export.export(Suppress(), example, dynamic_shapes=({0: some}, {0: some}, {0: some})),
        (),
        input_names=("boxes", "scores", "groups"),
        custom_translation_table={torch.ops.srtod.grouped_nms.default: grouped_nms_in_onnx},
        opset_version=18,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(made.model_proto.SerializeToString())

    def run(*given):
        names = ("boxes", "scores", "groups")
        return session.run(None, {name: own.numpy() for name, own in zip(names, given, strict=True)})[0]

    return run


def test_suppression_is_that_of_torch(suppress):
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(1000, 2, generator=draw) * 30_000
    corners[500:] = corners[:500] + torch.rand(500, 2, generator=draw) * 4
    boxes = torch.cat([corners, corners + 2 + 4 * torch.rand(1000, 2, generator=draw)], dim=1)
    scores, groups = torch.rand(1000, generator=draw), torch.randint(0, 3, (1000,), generator=draw)
    expected = grouped_nms(boxes, scores, groups, 0.5).tolist()
    assert 500 < len(expected) < 1000
    assert suppress(boxes, scores, groups).tolist() == expected


def test_no_boxes_leave_none_and_those_that_stand_for_nothing_go(suppress):
    boxes, groups = torch.tensor([[0.0, 0, 4, 4], [9, 9, 12, 12]]), torch.tensor([1, 0])
    assert suppress(boxes[:0], torch.ones(0), groups[:0]).tolist() == []
    assert suppress(boxes, torch.tensor([-1.0, 0.0]), groups).tolist() == [1]


@pytest.mark.parametrize(("gpu", "first"), [(True, "CUDAExecutionProvider"), (False, "CPUExecutionProvider")])
def test_a_gpu_is_taken_where_there_is_one_and_said_where_it_does_not_start(
    gpu, first, small_file, monkeypatch, capsys
):
    asked, start = [], onnxruntime.InferenceSession

    def session(path, options, providers):
        asked.extend(providers)
        return start(path, options, providers=["CPUExecutionProvider"])

    known = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    load_finder(small_file, device="auto" if gpu else "cpu")
    assert (asked[0], asked[-1]) == (first, "CPUExecutionProvider")
    assert ("CUDAExecutionProvider does not start here" in capsys.readouterr().err) == gpu
