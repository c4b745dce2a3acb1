"""Which job is done, what goes with it, and what goes to workers: which file, which part of the machine."""

from pathlib import Path

import av
import numpy as np
import pytest

from srtod.inference.jobs import JobOptions, run, run_job, shards
from srtod.support import hub
from srtod.support.errors import InputError


@pytest.fixture
def asked(tmp_path, write_image, sees_all, monkeypatch):
    """By what weights are told from others, and the file that is loaded for them."""
    write_image(tmp_path / "in" / "a.png")
    told, loaded = [], []

    def load_finder(members, **_):
        loaded.extend(members)
        return sees_all()

    monkeypatch.setattr(run, "load_finder", load_finder)
    monkeypatch.setattr(run, "predict_shards", lambda *_, weights, **__: told.append(weights))

    def ask(weights, **options):
        inputs = [str(tmp_path / "in")]
        run_job(inputs, tmp_path / "out", JobOptions(**options), weights=weights, in_shards=True)
        return told[-1], loaded[-1]

    return ask


def test_weights_are_told_by_the_content_of_their_file(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {"folder": hub.WEIGHTS, "hub": hub.WEIGHTS, ".": "w.safetensors", "exported": "w.onnx"}
    for folder, name in files.items():
        Path(folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("weights")
    monkeypatch.setattr(hub, "newest", lambda _, file: Path("hub") / file)
    given = {
        "folder": tmp_path / "folder" / hub.WEIGHTS,
        "owner/name": tmp_path / "hub" / hub.WEIGHTS,
        "w.safetensors": tmp_path / "w.safetensors",
        "exported/w.onnx": tmp_path / "exported" / "w.onnx",
    }
    told = {weights: asked(weights) for weights in given}
    assert {weights: path for weights, (_, path) in told.items()} == given
    assert len({digest for digest, _ in told.values()}) == 1
    (tmp_path / "hub" / hub.WEIGHTS).write_text("newer weights")
    assert asked("owner/name")[0] != told["owner/name"][0]


def test_images_and_videos_of_a_folder_are_both_looked_at(tmp_path, write_image, sees_all, monkeypatch):
    monkeypatch.setattr(run, "load_finder", lambda *_, **__: sees_all())
    folder, out, weights = tmp_path / "in", tmp_path / "out", tmp_path / "w.safetensors"
    weights.write_text("weights")
    write_image(folder / "a.png")
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            pixels = np.zeros((48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    asked = JobOptions(every=2, picture_score=0.5, progress=False)
    images, videos = run_job([str(folder)], out, asked, weights=weights)
    assert (images.images, videos.videos, videos.frames) == (1, 1, 2)
    assert (out / "detections.json").exists() and (out / "videos" / "clip.jsonl").exists()
    again = run_job([str(folder)], out, asked.model_copy(update={"resume": True}), weights=weights)
    assert [type(done) for done in again] == [type(images), type(videos)]
    with pytest.raises(InputError, match="--shard-size is about --engine ray; leave it out for images"):
        run_job([str(folder)], tmp_path / "other", JobOptions(shard_size=3), weights=weights)


def test_a_gpu_cannot_be_chosen_by_its_number(asked):
    with pytest.raises(InputError, match=r"device 'cuda:1': .*choose among GPUs with CUDA_VISIBLE_DEVICES"):
        asked("w.safetensors", device="cuda:1")


@pytest.mark.parametrize(
    ("workers", "gpus", "share"),
    [(1, 0, (16, 0)), (3, 0, (5, 0)), (40, 0, (1, 0)), (1, 2, (16, 1)), (3, 2, (5, 0.5)), (4, 1, (4, 0.25))],
)
def test_workers_divide_the_machine(monkeypatch, workers, gpus, share):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert shards._resources(workers, on_gpu=gpus > 0, alone=True) == share
    assert shards._resources(workers, on_gpu=gpus > 0, alone=False) == (1, gpus > 0)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("images", {"every": 2}, "--every is about videos; leave it out for images"),
        ("images", {"workers": 1}, "--workers is about --engine ray; leave it out for images"),
        ("images", {"split": "val"}, "--split is about --annotations"),
        (
            "images",
            {"pictures": False, "picture_score": 0.5},
            "--picture-score is about pictures, labels and",
        ),
        ("videos", {"labels": "coco"}, "--labels is about images; leave it out for videos"),
        ("videos", {"annotations": "a.json"}, "--annotations is about images; leave it out for videos"),
        (
            "--engine ray",
            {"pictures": False},
            "--no-pictures is about images and videos; leave it out for --eng",
        ),
        ("--engine ray", {"picture_score": 0.3}, "--picture-score is about images and videos; leave it out"),
        ("--engine ray", {"track": True}, "--track is about videos; leave it out for --engine ray"),
    ],
)
def test_an_option_that_is_not_about_the_job_is_refused(kind, options, message):
    with pytest.raises(InputError) as error:
        JobOptions.of(**options).require(kind)
    assert str(error.value).startswith(message)


def test_options_that_are_about_it_go_together():
    JobOptions.of(labels="coco", pictures=False, picture_score=0.5).require("images")
    JobOptions.of(track=True, every=2, pictures=False, picture_score=0.5).require("videos")
    JobOptions.of(workers=3, shard_size=2, skip_bad=True, resume=True).require("--engine ray")
