"""The runtime without torch finds in an exported file's hands what ``srtod predict`` finds."""

import ast
import json
import sys
import tomllib
from pathlib import Path

import av
import numpy as np
import onnx
import pytest
from PIL import Image

from srtod.inference import predict
from srtod.inference.jobs import JobOptions, run_job
from srtod.inference.slices import Slicing
from srtod_runtime import Detector, InputError, cli
from srtod_runtime.detector import Found

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "runtime"


def arrays(photographs):
    return [(own * 255).round().byte().permute(1, 2, 0).numpy() for own in photographs]


@pytest.fixture
def pictures(photographs, tmp_path):
    """Files of several kinds: RGB, turned by EXIF, gray, transparent, and one in a folder below."""
    folder, (first, second) = tmp_path / "in", arrays(photographs)
    (folder / "below").mkdir(parents=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(first).save(folder / "10.jpg", exif=turned)
    Image.fromarray(second).save(folder / "2.png")
    Image.fromarray(first).convert("L").save(folder / "below" / "grey.png")
    see_through = Image.fromarray(second).convert("RGBA")
    see_through.putalpha(128)
    see_through.save(folder / "3.png")
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``srtod-runtime`` and return its exit code and its last line."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["srtod-runtime", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        return code, (shown.err if code else shown.out).strip().splitlines()[-1]

    return call


def assert_same(found, expected):
    """Each detection of one has its like in the other, but for two in a thousand that rounding may decide."""
    assert min(len(found.scores), len(expected.scores)) > 20
    alike = np.abs(found.boxes[:, None] - expected.boxes).max(axis=2) < 2e-3
    alike &= np.abs(found.scores[:, None] - expected.scores) < 1e-5
    alike &= np.array([[own == other for other in expected.labels] for own in found.labels])
    assert min(alike.any(axis=0).mean(), alike.any(axis=1).mean()) >= 0.998


@pytest.mark.parametrize("side", [None, 100])
def test_detections_are_those_of_predict(side, small_file, photographs):
    detector = Detector(small_file, threads=1)
    assert detector.classes == ("person", "boat")
    slicing = None if side is None else Slicing(side, 0.3)
    for pixels in arrays(photographs):
        (expected,) = predict(pixels, small_file, slice=slicing)
        assert_same(detector.predict(pixels, slice=side, overlap=0.3), expected)


def test_a_factor_enlarges_as_in_predict(small_file, photographs, tmp_path):
    model, pixels = onnx.load(small_file), arrays(photographs)[1][:120, :160]
    changed(resize=2.0)(model)
    onnx.save(model, tmp_path / "a.onnx")
    (expected,) = predict(pixels, tmp_path / "a.onnx")
    assert_same(Detector(tmp_path / "a.onnx").predict(pixels), expected)


def test_calibrated_scores_count_as_in_predict(small_file, photographs, tmp_path):
    model, pixels = onnx.load(small_file), arrays(photographs)[1]
    (every,) = predict(pixels, small_file)
    thresholds = [float(np.median(every.scores)), 0.0]
    changed(operating_point={"rule": "best-f1", "thresholds": thresholds})(model)
    onnx.save(model, tmp_path / "a.onnx")
    found = Detector(tmp_path / "a.onnx").predict(pixels)
    (expected,) = predict(pixels, tmp_path / "a.onnx")
    assert len(expected.scores) < len(every.scores)
    assert_same(found, expected)


def rows_of(folder):
    rows = json.loads((folder / "detections.json").read_text(encoding="utf-8"))
    return Found(
        np.array([row.pop("bbox") for row in rows]), np.array([row.pop("score") for row in rows]), rows
    )


def test_the_command_writes_what_predict_writes(small_file, pictures, run, tmp_path):
    code, said = run(pictures, "--weights", small_file, "--output", tmp_path / "own")
    assert code == 0
    options = JobOptions.of(pictures=False, progress=False)
    run_job([str(pictures)], tmp_path / "other", options, weights=small_file)
    found, expected = rows_of(tmp_path / "own"), rows_of(tmp_path / "other")
    assert said.startswith(f"{len(found.scores)} detections in 4 images")
    assert {row["file_name"] for row in found.labels} == {"2.png", "3.png", "10.jpg", "below/grey.png"}
    assert_same(found, expected)


def test_frames_of_videos_are_those_of_predict(small_file, photographs, run, tmp_path):
    with av.open(tmp_path / "flight.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 320, 256
        for shift in range(5):
            pixels = np.ascontiguousarray(arrays(photographs)[0][shift : shift + 256, :320])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    code, _ = run(
        tmp_path / "flight.mp4", "--weights", small_file, "--output", tmp_path / "own", "--every", 2
    )
    assert code == 0
    options = JobOptions.of(pictures=False, progress=False, every=2)
    run_job([str(tmp_path / "flight.mp4")], tmp_path / "other", options, weights=small_file)
    found, expected = (
        [json.loads(line) for line in (tmp_path / name / "flight.jsonl").read_text().splitlines()]
        for name in ("own", "other")
    )
    assert [(own["frame"], own["time"]) for own in found] == [(0, 0.0), (2, 0.2), (4, 0.4)]
    for own, other in zip(found, expected, strict=True):
        assert (own["frame"], own["time"]) == (other["frame"], other["time"])
        boxes, same = (np.array([row["bbox"] for row in line["detections"]]) for line in (own, other))
        np.testing.assert_allclose(boxes, same, atol=2e-3)


def test_what_cannot_be_read_leaves_nothing_behind(small_file, pictures, run, tmp_path):
    (pictures / "z.png").write_bytes(b"no image")
    code, said = run(pictures, "--weights", small_file, "--output", tmp_path / "own")
    assert code == 2
    assert "z.png: not a readable image" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    code, said = run(pictures / "2.png", "--weights", small_file, "--output", tmp_path / "full")
    assert (code, "not an empty folder" in said) == (2, True)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \[H, W, 3\]"),
        (np.zeros((4, 4, 3)), r"uint8 \[H, W, 3\]"),
        (Image.new("I;16", (4, 4)), "more than 8 bits"),
        ("missing.png", "missing.png: not a readable image"),
    ],
)
def test_images_of_other_kinds_are_refused(image, message, small_file):
    with pytest.raises(InputError, match=message):
        Detector(small_file).predict(image)


def described(model, text):
    del model.metadata_props[:]
    model.metadata_props.add(key="srtod", value=text)


def with_a_loop(model):
    body = onnx.helper.make_graph([], "b", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", "on"], ["out"], body=body))


def with_a_function(model):
    model.functions.add(name="f", domain="d")


def with_weights_elsewhere(model):
    weights = model.graph.initializer[0]
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../secret")


def changed(**values):
    def change(model):
        held = json.loads(model.metadata_props[0].value)
        described(model, json.dumps(held | {"config": held["config"] | values}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_a_loop, "loops or branches"),
        (with_a_function, "functions of its own"),
        (with_weights_elsewhere, "keeps weights in other files"),
        (lambda model: model.metadata_props.pop(), "was not written by srtod export"),
        (lambda model: described(model, "{" * 100_000), "configuration is damaged"),
        (lambda model: described(model, " " * 2**21), "2097152 bytes; refused"),
        (changed(classes=[]), "configuration is damaged"),
        (changed(classes=["a", "a"]), "configuration is damaged"),
        (changed(classes=["a\x1b[31m"]), "configuration is damaged"),
        (changed(resize=[10**9, 10**9]), "configuration is damaged"),
        (changed(resize=1e9), "configuration is damaged"),
        (changed(detections_per_image="many"), "configuration is damaged"),
        (changed(operating_point={"rule": "best-f1", "thresholds": [0.5]}), "configuration is damaged"),
        (changed(detections_per_image=1), "more than its configuration says"),
    ],
)
def test_hostile_files_are_refused_in_one_line(change, message, small_file, photographs, tmp_path):
    model = onnx.load(small_file)
    change(model)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=rf"a\.onnx: .*{message}") as caught:
        Detector(tmp_path / "a.onnx").predict(arrays(photographs)[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 20])
def test_damaged_files_are_refused(content, small_file, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: "):
        Detector(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(small_file.read_bytes()[:-100_000])
    with pytest.raises(InputError, match=r"b\.onnx: not a readable ONNX file"):
        Detector(tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, np.full((2, 4), np.nan, np.float32), "far outside"),
        (0, np.zeros((2, 3), np.float32), "outputs of the shapes"),
        (1, np.array([0.1, 0.9], np.float32), "do not descend"),
        (1, np.array([7, 0.5], np.float32), "outside of 0..1"),
        (2, np.array([0, -1]), "labels outside"),
        (2, np.array([0.0, 1.0]), "labels of float64"),
        (3, np.array([0, 1]), "images that are not there"),
    ],
)
def test_outputs_that_are_no_detections_are_refused(place, wrong, message, small_file):
    boxes, scores = np.ones((2, 4), np.float32), np.array([0.9, 0.5], np.float32)
    found = [boxes, scores, np.array([0, 1]), np.zeros(2, np.int64)]
    detector = Detector(small_file)
    detector._session = type("Session", (), {"run": lambda *_: found})
    assert len(detector.predict(np.zeros((32, 32, 3), np.uint8)).scores) == 2
    found[place] = wrong
    with pytest.raises(InputError, match=rf"small\.onnx: gives .*{message}"):
        detector.predict(np.zeros((32, 32, 3), np.uint8))


def test_its_source_needs_neither_torch_nor_srtod():
    needed = set()
    for path in (RUNTIME / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add((node.module or "").partition(".")[0])
    assert needed - set(sys.stdlib_module_names) == {"srtod_runtime", "numpy", "PIL", "onnxruntime", "av"}


def test_it_has_the_version_of_srtod():
    own, other = (
        tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for folder in (RUNTIME, ROOT)
    )
    assert own["version"] == other["version"]
