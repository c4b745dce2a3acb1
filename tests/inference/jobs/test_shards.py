"""Shards with Ray Data: whatever dies, every image has its results exactly once."""

import json
import logging
import os
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import srtod
from srtod.inference import load_finder
from srtod.inference.inputs import ImageFile
from srtod.inference.jobs import JobOptions, predict_shards
from srtod.inference.jobs.listing import list_images
from srtod.inference.predict import predictions
from srtod.inference.views import ONE_VIEW, Views
from srtod.support.errors import InputError

IMAGES = 12


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One cluster for all tests, whose workers take what is defined here by value."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # as predict_shards sets it
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - the name of Ray; else workers starve beside other tests
    ray = pytest.importorskip("ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


class Corner:
    """Finds one box whose left edge is the value of the first pixel; leaves a trace of every image."""

    classes = ("thing",)
    device = torch.device("cpu")

    def __init__(self, trace, *, dies_at=None):
        self.trace, self.dies_at = trace, dies_at

    def __call__(self, images):
        with (self.trace.parent / "batches").open("a") as stream:
            stream.write(f"{len(images)} ")
        return [self._find(image) for image in images]

    def _find(self, image):
        value = round(float(image[0, 0, 0]) * 255)
        with (self.trace / f"{value}-{os.getpid()}").open("a") as stream:
            stream.write("x")
        mark = self.trace / "died"
        if value == self.dies_at and not mark.exists():
            mark.touch()
            os._exit(1)
        return {
            "boxes": torch.tensor([[float(value), 0, 60, 5]]),
            "scores": torch.tensor([0.5]),
            "labels": torch.tensor([0]),
        }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "day").mkdir(parents=True)
    for number in range(IMAGES):
        pixels = np.full((32, 64, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / "day" / f"{number}.png")
    (tmp_path / "trace").mkdir()
    return tmp_path / "in"


@pytest.fixture
def run(tmp_path):
    def run(images, *, dies_at=None, weights=None, **options):
        trace = tmp_path / "trace"
        return predict_shards(
            lambda: Corner(trace, dies_at=dies_at),
            images,
            tmp_path / "out",
            JobOptions(shard_size=2, progress=False, **options),
            weights=weights,
        )

    return run


def results(tmp_path):
    return json.loads((tmp_path / "out" / "detections.json").read_text())


@pytest.mark.slow
def test_a_worker_that_dies_costs_nothing(folder, run, tmp_path):
    images = list_images([str(folder)])
    done = run(images, workers=2, dies_at=7)
    assert (tmp_path / "trace" / "died").exists()
    assert (done.images, done.detections, done.skipped) == (IMAGES, IMAGES, ())
    found = results(tmp_path)
    assert [row["image_id"] for row in found] == list(range(1, IMAGES + 1))
    assert [row["file_name"] for row in found] == [f"{number}.png" for number in range(IMAGES)]
    assert [row["bbox"][0] for row in found] == list(range(IMAGES))
    processes = {path.name.partition("-")[2] for path in (tmp_path / "trace").glob("*-*")}
    assert len(processes) >= 3  # two workers and the one in place of the dead


@pytest.mark.slow
def test_images_go_through_the_network_in_batches(folder, run, tmp_path):
    (folder / "day" / "3.png").write_bytes(b"")
    done = run(list_images([str(folder)]), batch_size=2, skip_bad=True)
    assert (done.images, len(done.skipped)) == (IMAGES - 1, 1)
    assert (tmp_path / "batches").read_text().split() == ["2", "1", "2", "2", "2", "2"]
    assert [row["bbox"][0] for row in results(tmp_path)] == [*range(3), *range(4, IMAGES)]


@pytest.mark.slow
def test_workers_look_at_views(folder, tmp_path):
    detector = srtod.build_detector(
        "retinanet", classes=("thing",), backbone="resnet10t", pyramid_channels=16, score_threshold=0.0
    )
    detector.save(weights := tmp_path / "w.safetensors")
    finder = partial(load_finder, weights, device="cpu", views=Views(flips=True))
    predict_shards(finder, list_images([str(folder)]), tmp_path / "out", JobOptions(progress=False))
    found = [row for row in results(tmp_path) if row["image_id"] == 1]
    image = ImageFile(folder / "day" / "0.png", "0.png", 1)
    one, two = (
        next(predictions(load_finder(weights, device="cpu", views=views), [image]))
        for views in (ONE_VIEW, Views(flips=True))
    )
    assert [row["score"] for row in found] == pytest.approx(two.scores.tolist(), abs=1e-3)
    assert one.scores.tolist() != two.scores.tolist()


@pytest.mark.slow
def test_the_same_command_does_what_is_missing_alone(folder, run, tmp_path):
    (folder / "day" / "3.png").rename(tmp_path / "3.png")
    (folder / "day" / "3.png").write_bytes(b"")
    images = list_images([str(folder)])
    with pytest.raises(InputError, match=r"3.png: .*; all others are done: .*11 of 12 images are finished"):
        run(images)
    assert len(results(tmp_path)) == IMAGES - 1
    (tmp_path / "3.png").replace(folder / "day" / "3.png")
    (tmp_path / "out" / "log" / "000003.jsonl").unlink()
    shutil.rmtree(tmp_path / "trace")
    (tmp_path / "trace").mkdir()
    with pytest.raises(InputError, match=r"job.json: begun with other images"):
        run(images[1:], resume=True)
    with pytest.raises(InputError, match=r"job.json: begun with other weights"):
        run(images, weights="others", resume=True)
    run(images, resume=True)
    assert [row["image_id"] for row in results(tmp_path)] == list(range(1, IMAGES + 1))
    assert {path.name.partition("-")[0] for path in (tmp_path / "trace").iterdir()} == {"2", "3", "6", "7"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["detections.json", "job.json"]
    assert run(images, resume=True).images == IMAGES


@pytest.mark.slow
def test_images_that_cannot_be_read_are_left_out_if_so_asked(folder, run, tmp_path):
    (folder / "day" / "3.png").write_bytes(b"")
    (folder / "day" / "8.png").write_bytes(b"nothing")
    images = list_images([str(folder)])
    with pytest.raises(InputError, match=r"3.png: .* \(and 1 more images\); all others are done: --skip-bad"):
        run(images)
    done = run(images, skip_bad=True, resume=True)
    assert (done.images, len(done.skipped)) == (IMAGES - 2, 2)
    assert len(results(tmp_path)) == IMAGES - 2


@pytest.mark.slow
def test_another_folder_is_left_alone(folder, run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match=r"out: exists and is not an empty folder"):
        run(list_images([str(folder)]))
