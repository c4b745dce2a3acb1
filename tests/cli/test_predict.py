import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import srtod
from srtod.cli import main as command_line

TINY_PERSON = Path(__file__).parents[2].parent / "shared" / "data" / "tinyperson"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    srtod.build_detector(
        "faster-rcnn",
        classes=("person",),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        score_threshold=0.0,
        detections_per_image=20,
    ).save(path)
    return path


def run(monkeypatch, *arguments):
    """Return the exit code of ``srtod predict``."""
    monkeypatch.setattr("sys.argv", ["srtod", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code or 0


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def test_a_folder_goes_in_and_results_come_out(tmp_path, weights, monkeypatch, capsys):
    for name in ("a.png", "sub/a.png"):
        image(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert run(monkeypatch, tmp_path / "in", "--weights", weights, "--output", out, "--device", "cpu") == 0
    results = json.loads((out / "detections.json").read_text())
    said = capsys.readouterr().out
    assert f"{len(results)} detections in 2 images: {out / 'detections.json'}" in said
    drawn = sum(row["score"] >= 0.3 for row in results)
    assert f"{drawn} of them, with a score of at least 0.3, are drawn in {out / 'pictures'}" in said
    assert (out / "pictures" / "a.png").is_file() and (out / "pictures" / "sub" / "a.png").is_file()


def test_an_image_in_slices(tmp_path, weights, monkeypatch, capsys):
    options = ["--slice", 32, "--overlap", 0.25, "--full-image", "--batch-size", 2, "--no-pictures"]
    out = tmp_path / "out"
    assert run(monkeypatch, image(tmp_path / "a.png"), "--weights", weights, "--output", out, *options) == 0
    assert "slices of a.png" in capsys.readouterr().err
    corners = [row["bbox"] for row in json.loads((out / "detections.json").read_text())]
    assert max(x for x, _, _, _ in corners) > 32
    assert all(x + w <= 64.01 and y + h <= 48.01 for x, y, w, h in corners)


@pytest.mark.parametrize("by", ["scores", "high-pass"])
@pytest.mark.parametrize("zoom", [1, 2])
def test_some_slices_are_looked_at_again(tmp_path, weights, monkeypatch, by, zoom):
    options = ["--slice", 32, "--focus", 0.3, "--focus-by", by, "--zoom", zoom, "--no-pictures"]
    out = tmp_path / "out"
    assert run(monkeypatch, image(tmp_path / "a.png"), "--weights", weights, "--output", out, *options) == 0
    assert json.loads((out / "detections.json").read_text())
    assert '"focus": 0.3' in (out / "job.json").read_text()


def test_a_focus_by_the_difference_needs_self_reconstruction(tmp_path, weights, monkeypatch, capsys):
    options = ["--slice", 32, "--focus", 0.3, "--focus-by", "difference", "--output", tmp_path / "out"]
    assert run(monkeypatch, image(tmp_path / "a.png"), "--weights", weights, *options) == 2
    assert "focus by difference: what finds objects has no self-reconstruction" in capsys.readouterr().err


def test_a_bad_image_ends_with_exit_code_2_and_resume_goes_on(tmp_path, weights, monkeypatch, capsys):
    image(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    arguments = [tmp_path / "in", "--weights", weights, "--output", tmp_path / "out", "--no-pictures"]
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert "b.png: not an image" in said and "1 of 2 images are finished" in said
    assert json.loads((tmp_path / "out" / "detections.json").read_text())
    assert run(monkeypatch, *arguments, "--resume", "--skip-bad") == 0
    assert "left out: " in (said := capsys.readouterr().err) and "b.png" in said
    image(tmp_path / "in" / "b.png")
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert "in 2 images" in capsys.readouterr().out
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["detections.json", "job.json"]


def test_a_second_run_takes_the_next_free_folder(tmp_path, weights, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [image(tmp_path / "a.png"), "--weights", weights]
    assert run(monkeypatch, *arguments) == 0 and run(monkeypatch, *arguments) == 0
    assert f"images: {Path('found-2') / 'detections.json'}" in capsys.readouterr().out
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert f"images: {Path('found-2') / 'detections.json'}" in capsys.readouterr().out
    assert not Path("found-3").exists()
    assert run(monkeypatch, *arguments, "--output", "found") == 2
    assert "found: holds a job; choose another name, or add --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--weights": "none.safetensors"}, "none.safetensors"),
        ({"--precision": "fp16"}, "precision fp16 needs a GPU"),
        ({"--device": "gpu"}, "device 'gpu': not one of auto, cpu, cuda, cuda:1, mps"),
        ({"--score-threshold": "7"}, "score_threshold"),
        ({"--batch-size": "0"}, "batch-size"),
        ({"--slice": "8"}, "slice 8: windows need at least 32 pixels"),
        ({"--slice": "64", "--merge": "mean"}, "'mean' is not one of 'greedy', 'nms'"),
        ({"--overlap": "0.2"}, "add --slice"),
        ({"--focus": "0.3"}, "add --slice"),
        ({"--slice": "64", "--focus-by": "scores"}, "add it, such as --focus 0.3"),
        ({"--slice": "64", "--focus": "0.3", "--focus-by": "luck"}, "'luck' is not one of"),
        ({"--slice": "64", "--focus": "1.5"}, "'--focus': Input should be less than or equal to 1"),
        ({"--every": "2"}, "--every is about videos; leave it out for images"),
        ({"--annotations": "none.json"}, "none.json"),
    ],
)
def test_bad_arguments_end_with_exit_code_2(tmp_path, weights, monkeypatch, capsys, change, message):
    options = {"--weights": weights, "--output": tmp_path / "out", "--device": "cpu"} | change
    arguments = [text for option in options.items() for text in option]
    assert run(monkeypatch, image(tmp_path / "a.png"), *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_video_goes_in_and_lines_come_out(tmp_path, weights, monkeypatch, capsys):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 200, 50):
            frame = np.full((48, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    out = tmp_path / "out"
    options = ["--weights", weights, "--output", out, "--device", "cpu", "--every", 2, "--track"]
    assert run(monkeypatch, tmp_path / "a.mp4", *options) == 0
    told = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in told] == [0, 2]
    assert all("track_id" in detection for line in told for detection in line["detections"])
    assert (out / "a.mp4").stat().st_size > 0
    assert "in 2 frames of 1 videos" in capsys.readouterr().out
    assert run(monkeypatch, tmp_path / "a.mp4", *options[:-3], "--annotations", "gt.json") == 2
    assert "--annotations is about images; leave it out for videos" in capsys.readouterr().err


def test_annotations_make_results_that_can_be_evaluated(tmp_path, weights, monkeypatch):
    if not TINY_PERSON.exists():
        pytest.skip("needs the TinyPerson images beside the checkout")
    truth = json.loads((TINY_PERSON / "val.json").read_text())
    (tmp_path / "images").mkdir()
    for entry in truth["images"][:2]:
        shutil.copy(TINY_PERSON / "images" / entry["file_name"], tmp_path / "images")
    chosen = {entry["id"] for entry in truth["images"][:2]}
    out = tmp_path / "out"
    arguments = ["--weights", weights, "--output", out, "--annotations", TINY_PERSON / "val.json"]
    assert run(monkeypatch, tmp_path / "images", *arguments) == 0
    assert {row["image_id"] for row in json.loads((out / "detections.json").read_text())} == chosen

    from srtod.metrics import evaluate_files

    summary = evaluate_files(TINY_PERSON / "val.json", out / "detections.json").summary
    assert set(summary) == {"AP", "AP50", "AP75", "APvt", "APt", "APs", "APm", "AR"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "rai"], "'rai' is not one of 'local', 'ray'"),
        (["--workers", "2"], "--workers is about --engine ray; leave it out for images"),
        (
            ["--engine", "ray", "--labels", "coco"],
            "--labels is about images; leave it out for --engine ray",
        ),
        (["--engine", "ray", "--no-pictures"], "--no-pictures is about images and videos"),
        (["--precision", "fp8"], "'fp8' is not one of 'fp32', 'bf16', 'fp16'"),
    ],
)
def test_options_of_the_engines_go_together(tmp_path, weights, monkeypatch, capsys, options, message):
    out = tmp_path / "out"
    given = ["--weights", weights, "--output", out, "--device", "cpu", *options]
    assert run(monkeypatch, image(tmp_path / "a.png"), *given) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
