"""Shards as workers write them, with the workers' part done in this process."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from srtod.inference.jobs import JobOptions, predict_shards, shards
from srtod.inference.jobs.listing import list_images
from srtod.support.errors import InputError


class Corner:
    """Finds one box whose left edge is the value of the first pixel."""

    classes = ("thing",)
    device = torch.device("cpu")

    def __call__(self, images):
        found = {"scores": torch.tensor([0.5]), "labels": torch.tensor([0])}
        return [
            found | {"boxes": torch.tensor([[round(float(image[0, 0, 0]) * 255), 0.0, 60, 5]])}
            for image in images
        ]


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Runs the job here; ``stops_after`` so many shards a Ctrl-C comes."""
    done = []

    def here(make_finder, do, numbers, workers, *, on_gpu):
        finder = make_finder()
        for number in numbers:
            if len(done) == go.stops_after:
                raise KeyboardInterrupt
            do(finder, number)
            done.append(number)
            yield number

    def go(images, **options):
        done.clear()
        given = JobOptions(shard_size=2, progress=False, **options)
        return predict_shards(Corner, images, tmp_path / "out", given), list(done)

    go.stops_after = None
    monkeypatch.setattr(shards, "_with_ray", here)
    return go


@pytest.fixture
def images(tmp_path):
    (tmp_path / "in").mkdir()
    for value in range(7):
        Image.fromarray(np.full((8, 64, 3), value, np.uint8)).save(tmp_path / "in" / f"{value}.png")
    return list_images([str(tmp_path / "in")])


def results(tmp_path):
    return [row["bbox"][0] for row in json.loads((tmp_path / "out" / "detections.json").read_text())]


def test_shards_are_put_together_and_gone_on_with(go, images, tmp_path):
    go.stops_after = 2
    with pytest.raises(KeyboardInterrupt):
        go(images)
    assert results(tmp_path) == [0, 1, 2, 3]
    go.stops_after = None
    done, worked = go(images, resume=True)
    assert (done.images, worked, results(tmp_path)) == (7, [2, 3], list(range(7)))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["detections.json", "job.json"]
    assert go(images, resume=True) == (done, [])


def test_images_that_cannot_be_read_are_told_at_the_end_and_tried_again(go, images, tmp_path):
    bad = tmp_path / "in" / "3.png"
    sound = bad.read_bytes()
    bad.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"3\.png: .*all others are done: .* 6 of 7 images are finished in"):
        go(images)
    assert results(tmp_path) == [0, 1, 2, 4, 5, 6]
    done, worked = go(images, resume=True, skip_bad=True)
    assert (done.images, len(done.skipped), worked) == (6, 1, [])
    bad.write_bytes(sound)
    done, worked = go(images, resume=True)
    assert (done.images, worked, results(tmp_path)) == (7, [1], list(range(7)))
