import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from srtod import data
from srtod.cli.main import app
from srtod.data import AnnotatedSet, ImageRecord
from srtod.data.splitting import by_content, by_field, by_pattern, divide
from srtod.support.errors import InputError

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def image(number, labels=(0,), name=None, **fields):
    count = len(labels)
    return ImageRecord(
        image_id=number,
        file_name=name or f"{number}.png",
        path=Path(f"{number}.png"),
        width=64,
        height=48,
        boxes=np.tile([1.0, 1.0, 5.0, 5.0], (count, 1)),
        labels=np.array(labels, dtype=np.int64),
        ignore=np.zeros(count, dtype=np.bool_),
        annotation_ids=np.arange(count),
        fields=fields,
    )


def annotated(records, classes=("drone", "bird")):
    return AnnotatedSet(Path("set"), "coco", "", classes, tuple(records))


def alone(record):
    """Group no two images."""
    return record.image_id


def numbers(parts):
    return [[record.image_id for record in part.records] for part in parts]


def test_every_image_is_in_one_split_and_shares_are_kept():
    parts = divide(annotated(image(number) for number in range(200)), SHARES, group_of=alone)
    assert [part.split for part in parts] == ["train", "val", "test"]
    assert [len(part.records) for part in parts] == [140, 40, 20]
    assert sorted(chain(*numbers(parts))) == list(range(200))


def test_the_seed_chooses_the_splits():
    whole = annotated(image(number) for number in range(50))
    assert numbers(divide(whole, SHARES, group_of=alone, seed=1)) == numbers(
        divide(whole, SHARES, group_of=alone, seed=1)
    )
    assert numbers(divide(whole, SHARES, group_of=alone, seed=1)) != numbers(
        divide(whole, SHARES, group_of=alone, seed=2)
    )


def test_rare_classes_are_shared_out_as_frequent_ones():
    rng = np.random.default_rng(0)
    labels = [[0] * rng.integers(0, 20) + [1] * (number % 10 == 0) for number in range(300)]
    parts = divide(annotated(image(number, own) for number, own in enumerate(labels)), SHARES, group_of=alone)
    total = np.bincount(np.concatenate(labels).astype(int))
    for part, share in zip(parts, SHARES.values(), strict=True):
        counts = np.bincount(np.concatenate([record.labels for record in part.records]), minlength=2)
        assert counts[0] == pytest.approx(share * total[0], rel=0.05)
        assert counts[1] == pytest.approx(share * total[1], abs=1)


@pytest.mark.parametrize("group_of", [by_pattern(r"^(\w+)_"), by_pattern(r"^flight\d+"), by_field("flight")])
@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_both_sides(group_of, seed):
    rng = np.random.default_rng(seed)
    flights = rng.integers(0, 25, 200).tolist()
    records = [
        image(number, [0] * rng.integers(0, 9), f"flight{flight}_{number}.png", flight=flight)
        for number, flight in enumerate(flights)
    ]
    parts = divide(annotated(records), SHARES, group_of=group_of, seed=seed)
    sides = [{record.fields["flight"] for record in part.records} for part in parts]
    assert sum(map(len, sides)) == len(set(flights))
    assert len(parts[0].records) == pytest.approx(140, abs=12)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda whole: divide(whole, {"train": 0.8, "val": 0.3}), "shares train=0.8,val=0.3: give at least"),
        (lambda whole: divide(whole, {"train": 1.0}), "give at least two"),
        (lambda whole: divide(whole, {"train": 1.5, "val": -0.5}), "above 0"),
        (lambda whole: divide(whole, {"../out": 0.5, "val": 0.5}), "split '../out': use names"),
        (
            lambda whole: divide(whole, SHARES, group_of=alone),
            "split 'val' stays empty: 2 different images, or groups of them, are too few for a share of 0.2",
        ),
        (lambda _: divide(annotated([]), SHARES), "set: no image is sound, so there is nothing to divide"),
        (lambda whole: divide(whole, SHARES, group_of=by_pattern("x")), r"0\.png: --group-by 'x' finds no"),
        (lambda _: by_pattern("("), r"--group-by '\(': not a regular expression"),
        (
            lambda whole: divide(whole, SHARES, group_of=by_field("video")),
            "'video' is no .*are: flight",
        ),
    ],
)
def test_what_cannot_be_done_is_told(act, message):
    with pytest.raises(InputError, match=message):
        act(annotated([image(0, flight=1), image(1, flight=2)]))


def test_a_set_on_disk_is_divided_and_written(tmp_path, make_coco):
    images = [f"{flight}_{number}.png" for flight in "abcde" for number in range(2)]
    entries = [
        {"id": number, "file_name": name, "width": 64, "height": 48, "video_id": name[0]}
        for number, name in enumerate(images, start=1)
    ]
    boxes = [{"id": n, "image_id": n, "category_id": 7, "bbox": [1, 1, 5, 5]} for n in range(1, 11)]
    file = make_coco(tmp_path / "source", images=images, annotations=boxes)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"images": entries}))
    words = ["data", "split", str(tmp_path / "source"), str(tmp_path / "target"), "--group-field", "video_id"]
    result = CliRunner().invoke(app, [*words, "--shares", "train=0.6,val=0.4"])
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'target'}: train: 6 images, 6 boxes: cat 0, dog 6" in result.stdout
    assert f"{tmp_path / 'target'}: val: 4 images, 4 boxes: cat 0, dog 4" in result.stdout
    assert "coco holds everything" in result.stdout
    assert data.splits(tmp_path / "target") == ("train", "val")
    sets = [data.read(tmp_path / "target", split=name).require_sound() for name in ("train", "val")]
    sides = [{record.fields["video_id"] for record in part.records} for part in sets]
    assert [len(side) for side in sides] == [3, 2] and not sides[0] & sides[1]
    assert all(record.path.is_file() for part in sets for record in part.records)


@pytest.fixture
def twins(tmp_path, make_coco, make_image):
    """A set of 20 images, of which every two are the same file."""
    images = [f"{number}.png" for number in range(20)]
    make_coco(tmp_path / "twins", images=images)
    for number in range(10):
        for copy in (number, number + 10):
            make_image(tmp_path / "twins" / "images" / f"{copy}.png", pnginfo=named(str(number)))
    return tmp_path / "twins"


def named(text):
    info = PngInfo()
    info.add_text("name", text)
    return info


@pytest.mark.parametrize("seed", range(3))
def test_files_that_are_the_same_stay_together(twins, seed):
    parts = divide(data.read(twins), {"train": 0.5, "val": 0.5}, seed=seed)
    sides = [{by_content(record) for record in part.records} for part in parts]
    assert [len(part.records) for part in parts] == [10, 10]
    assert not sides[0] & sides[1]


def test_the_same_files_in_two_groups_are_told(twins, tmp_path):
    words = ["data", "split", str(twins), str(tmp_path / "out"), "--shares", "train=0.5,val=0.5"]
    result = CliRunner().invoke(app, [*words, "--group-by", r"^1?\d(?=\.)"])
    assert result.exit_code == 0, result.output
    assert "images are the same file as one of another split, such as " in result.stderr
    result = CliRunner().invoke(app, [*words[:3], str(tmp_path / "whole"), *words[4:]])
    assert result.exit_code == 0, result.output
    assert "the same file" not in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shares", "train,val"], "name each split once, with its share"),
        (["--shares", "a=0.5,a=0.5"], "name each split once"),
        (["--group-by", "x", "--group-field", "y"], "give one of them"),
    ],
)
def test_wrong_options_are_told(tmp_path, make_coco, options, message):
    make_coco(tmp_path / "source")
    words = ["data", "split", str(tmp_path / "source"), str(tmp_path / "out"), *options]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
