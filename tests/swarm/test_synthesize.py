import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.data import read
from srtod.data.checks import check_images
from srtod.support.errors import InputError
from srtod.swarm import synthesis, synthesize
from srtod.swarm.scenery import TRAINING

SMALL: dict[str, Any] = {"size": (96, 64), "objects_per_image": 3.0, "workers": 1}
PAIR: dict[str, Any] = {**SMALL, "workers": 2}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_the_same_for_any_number_of_workers(tmp_path):
    splits = {"train": 5, "test": 3}
    for workers, options in ((1, SMALL), (2, PAIR)):
        synthesize(tmp_path / str(workers), splits=splits, **options)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert len(contents(tmp_path / "1")) == 10


def test_images_do_not_depend_on_how_many_there_are(tmp_path):
    for count in (2, 4):
        synthesize(tmp_path / str(count), splits={"train": count}, **SMALL)
    few, many = contents(tmp_path / "2"), contents(tmp_path / "4")
    assert all(few[name] == many[name] for name in few if name.endswith(".jpg"))


def test_seed_and_split_change_the_pictures(tmp_path):
    for seed in (1, 2):
        synthesize(
            tmp_path / str(seed),
            splits={"train": 1, "val": 1},
            seed=seed,
            scenery={"val": ["day"], "train": ["day"]},
            **SMALL,
        )
    first, second = contents(tmp_path / "1"), contents(tmp_path / "2")
    pictures = [first["train/JPEGImages/train_000001.jpg"], first["val/JPEGImages/val_000001.jpg"]]
    pictures.append(second["train/JPEGImages/train_000001.jpg"])
    assert len(set(pictures)) == 3


def test_the_layout_is_that_of_drone_swarms_and_sound(tmp_path):
    made = synthesize(tmp_path / "set", splits={"train": 3, "test": 2}, **SMALL)
    for split, images in made.items():
        found = check_images(read(tmp_path / "set", split=split))
        assert found.format == "droneswarms"
        assert found.classes == ("drone",)
        assert not found.faults
        assert [record.file_name for record in found.records] == [image.file_name for image in images]
        assert [len(record.boxes) for record in found.records] == [len(image.boxes) for image in images]
    with Image.open(tmp_path / "set" / "test" / "JPEGImages" / "test_000001.jpg") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (96, 64), "RGB")
    assert {path.name for path in (tmp_path / "set").iterdir()} == {"train", "test"}


def test_statistics_of_a_set_follow_what_was_asked_for(tmp_path):
    made = synthesize(
        tmp_path / "set", splits={"train": 50}, size=(400, 300), objects_per_image=26.59, workers=2
    )["train"]
    boxes = np.array([box for image in made for box in image.boxes])
    sizes = np.sqrt(boxes[:, 2] * boxes[:, 3])
    counts = np.array([len(image.boxes) for image in made])
    assert counts.mean() == pytest.approx(26.6, abs=8)
    assert counts.min() < 8
    assert counts.max() > 50
    assert sizes.mean() == pytest.approx(7.9, abs=1.2)
    assert (sizes <= 32).mean() > 0.98
    assert boxes[:, 2:].min() >= 1
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 400).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 300).all()
    thirds = np.histogram(boxes[:, 1] + boxes[:, 3] / 2, bins=3, range=(0, 300))[0] / len(boxes)
    assert thirds.min() > 0.2


def test_training_and_test_scenery_are_apart(tmp_path):
    made = synthesize(tmp_path / "set", splits={"train": 12, "test": 12}, **SMALL)
    train, test = ({image.scenery for image in made[split]} for split in ("train", "test"))
    assert len(train) > 4
    assert len(test) > 4
    assert not train & test


def test_scenery_can_be_chosen(tmp_path):
    scenery = {"train": ["city-night"], "test": ["sea"]}
    made = synthesize(tmp_path / "set", splits={"train": 2, "test": 3}, scenery=scenery, **SMALL)
    assert {image.scenery for image in made["train"]} == {"city-night"}
    assert all(image.scenery.startswith("sea-") for image in made["test"])


def test_a_split_without_images_is_left_out(tmp_path):
    synthesize(tmp_path / "set", splits={"train": 1, "test": 0}, **SMALL)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": -1}}, "must not be negative"),
        ({"splits": {"train": 0, "test": 0}}, "nor all zero"),
        ({"splits": {"../out": 1}}, "use names of letters"),
        ({"size": (16, 64)}, "--size 16x64"),
        ({"seed": -1}, "--seed -1"),
        ({"workers": 0}, "--workers 0"),
        ({"objects_per_image": 0.5}, "--objects-per-image 0.5"),
        ({"objects_per_image": float("nan")}, "--objects-per-image nan"),
        ({"mean_size": 1.0}, "--mean-size 1"),
        ({"mean_size": float("nan")}, "--mean-size nan"),
        ({"mean_size": 40.0}, "--mean-size 40"),
        ({"objects_per_image": 500.0}, "do not fit into 96 x 64"),
        ({"sprites": "somewhere"}, "--sprites and --backgrounds go together"),
        ({"scenery": {"train": ["moon"]}}, "scenery 'moon' is unknown"),
        ({"scenery": {"val": ["city"]}}, "val: no such split"),
        ({"sprites": "a", "backgrounds": "b", "scenery": {"train": ["city"]}}, "leave it out"),
        ({"sprites": "a", "backgrounds": "b"}, "--sprites a: no such folder"),
        ({"empty": 1.5}, "--empty 1.5: give a share"),
        ({"clutter": float("nan")}, "--clutter nan: give a share"),
        ({"clutter": 0.5}, "--clutter is for composed images"),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        synthesize(tmp_path / "set", **({"splits": {"train": 1}} | SMALL | changes))
    assert not list(tmp_path.iterdir())


def test_an_output_in_use_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        synthesize(tmp_path, splits={"train": 1}, **SMALL)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("options", [SMALL, PAIR])
@pytest.mark.parametrize(
    ("error", "seen"),
    [(OSError(28, "No space left on device"), InputError), (KeyboardInterrupt, KeyboardInterrupt)],
)
def test_nothing_is_left_of_work_that_failed(tmp_path, monkeypatch, options, error, seen):
    whole = synthesis.make_image

    def fail(plan, index):
        if index == 2:
            raise error
        return whole(plan, index)

    monkeypatch.setattr(synthesis, "make_image", fail)
    with pytest.raises(seen):
        synthesize(tmp_path / "set", splits={"train": 6}, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [("SIGINT", True, 130), ("SIGTERM", False, 143), ("SIGTERM", True, 143), ("SIGHUP", True, 129)],
)
def test_a_signal_leaves_nothing_and_no_process(number, to_all, code, tmp_path):
    process, errors = _interrupted(tmp_path, getattr(signal, number), to_all=to_all)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends workers with their parent")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    process, _ = _interrupted(tmp_path, signal.SIGKILL, to_all=False)
    deadline = time.monotonic() + 5
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def _interrupted(tmp_path, number, *, to_all):
    """A synthesis with two workers that was sent a signal in the middle of its work."""
    command = [sys.executable, "-m", "srtod.cli.main", "data", "synthesize", str(tmp_path / "set")]
    command += ["--images", "4000", "--size", "96x64", "--objects-per-image", "3", "--workers", "2"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".set.*/train/JPEGImages/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    return process, errors


def test_composed_pictures_from_real_cut_outs(tmp_path, shared):
    folder = shared / "data" / "swarm"
    if not folder.is_dir():
        pytest.skip("no cut-outs beside the checkout")
    made = synthesize(
        tmp_path / "set",
        splits={"train": 4, "test": 4},
        size=(480, 270),
        objects_per_image=15,
        sprites=folder / "sprites",
        backgrounds=folder / "backgrounds",
        workers=2,
    )
    train, test = ({image.scenery for image in made[split]} for split in ("train", "test"))
    assert not train & test
    sizes = [np.sqrt(w * h) for images in made.values() for image in images for _, _, w, h in image.boxes]
    assert len(sizes) > 40
    assert np.mean(sizes) == pytest.approx(7.9, abs=2.5)
    assert not check_images(read(tmp_path / "set", split="test")).faults


def test_a_share_of_the_images_is_empty(tmp_path):
    made = synthesize(tmp_path / "set", splits={"train": 40}, empty=0.5, **SMALL)["train"]
    assert 10 <= sum(not image.boxes for image in made) <= 30
    assert sum(image.boxes != () for image in made) >= 10
    assert len(read(tmp_path / "set", split="train").records) == 40


def test_a_damaged_photograph_is_named_by_the_worker(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    pixels = np.full((20, 20, 4), 90, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a" / "drone.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "b" / "hill.jpg")
    damaged = tmp_path / "b" / "hill.jpg"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"hill\.jpg"):
        synthesize(
            tmp_path / "set",
            splits={"train": 3},
            sprites=tmp_path / "a",
            backgrounds=tmp_path / "b",
            **PAIR,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_command_tells_what_it_made(tmp_path):
    options = [
        "--images",
        "2",
        "--test-images",
        "1",
        "--size",
        "96x64",
        "--objects-per-image",
        "3",
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(app, ["data", "synthesize", str(tmp_path / "set"), *options])
    assert result.exit_code == 0, result.output
    assert "train: 2 images, " in result.output
    assert "test: 1 images, " in result.output
    written = json.loads((tmp_path / "set" / "train" / "train.json").read_text())
    assert [image["id"] for image in written["images"]] == [1, 2]
    assert {image["scenery"].split("-")[0] for image in written["images"]} <= {
        name.split("-")[0] for name in TRAINING
    }
    for annotation in written["annotations"]:
        _, _, width, height = annotation["bbox"]
        assert annotation["area"] == width * height > 0
