import os
import sys
from pathlib import Path

import numpy as np
import pytest

from srtod.data import AnnotatedSet, ImageRecord
from srtod.inference import collect_images, with_annotations
from srtod.support.errors import InputError


def record(image_id, file_name):
    return ImageRecord(
        image_id=image_id,
        file_name=file_name,
        path=Path(file_name),
        width=64,
        height=48,
        boxes=np.zeros((0, 4)),
        labels=np.zeros(0, np.int64),
        ignore=np.zeros(0, bool),
        annotation_ids=np.zeros(0, np.int64),
    )


def annotated(folder, *records):
    return AnnotatedSet(folder / "gt.json", "coco", "", ("drone",), tuple(records))


def names(images):
    return [image.file_name for image in images]


def test_folders_are_searched_in_natural_order(tmp_path, write_image):
    for name in ("10.png", "2.png", "sub/1.PNG", "B.jpg", "a.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    images = collect_images([tmp_path])
    assert names(images) == ["2.png", "10.png", "a.jpg", "B.jpg", "sub/1.PNG"]
    assert [image.image_id for image in images] == [1, 2, 3, 4, 5]


def test_the_same_name_in_two_folders_stays_two_images(tmp_path, write_image):
    for folder in ("day", "night"):
        write_image(tmp_path / folder / "a.jpg")
    assert names(collect_images([tmp_path / "day", tmp_path / "night"])) == ["day/a.jpg", "night/a.jpg"]
    assert names(collect_images([tmp_path / "night"])) == ["a.jpg"]


def test_an_image_named_twice_is_taken_once(tmp_path, write_image, monkeypatch):
    path = write_image(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names(collect_images([path, "a.jpg", tmp_path, str(tmp_path / "*.jpg")])) == ["a.jpg"]


def test_patterns_reach_sub_folders(tmp_path, write_image):
    for name in ("x/1.png", "x/y/2.png", "3.jpg"):
        write_image(tmp_path / name)
    assert names(collect_images([str(tmp_path / "**" / "*.png")])) == ["1.png", "y/2.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path, write_image):
    write_image(tmp_path / "a1.png")
    odd = write_image(tmp_path / "a[1].png")
    assert names(collect_images([odd])) == ["a[1].png"]


@pytest.mark.parametrize(
    ("text", "message"), [("none.jpg", "no such file"), ("*.png", "no such file"), ("", "no images")]
)
def test_what_is_not_there_is_an_input_error(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        collect_images([tmp_path / text])
    with pytest.raises(InputError, match="no images were given"):
        collect_images([])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_no_result_can_hold_are_refused(tmp_path, write_image):
    path = write_image(tmp_path / "a.jpg")
    path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    with pytest.raises(InputError, match=r"^[ -~]*caf\\udce9.jpg: the name is not UTF-8; rename"):
        collect_images([tmp_path])


def test_annotations_give_ids_and_names(tmp_path, write_image):
    for name in ("set/images/val/b.jpg", "set/images/val/a.jpg"):
        write_image(tmp_path / name)
    found = with_annotations(
        collect_images([tmp_path / "set"]), annotated(tmp_path, record(70, "val/a.jpg"), record("x", "b.jpg"))
    )
    assert [(image.image_id, image.file_name) for image in found] == [(70, "val/a.jpg"), ("x", "b.jpg")]
    assert found[0].record is not None


def test_the_longest_matching_name_wins(tmp_path, write_image):
    for name in ("day/a.jpg", "night/a.jpg"):
        write_image(tmp_path / name)
    records = (record(1, "night/a.jpg"), record(2, "a.jpg"))
    found = with_annotations(collect_images([tmp_path]), annotated(tmp_path, *records))
    assert [image.image_id for image in found] == [2, 1]


def test_images_without_annotations_are_refused(tmp_path, write_image):
    write_image(tmp_path / "c.jpg")
    with pytest.raises(InputError, match=r"c\.jpg: not among the 1 images of .*gt\.json"):
        with_annotations(collect_images([tmp_path]), annotated(tmp_path, record(1, "a.jpg")))


def test_two_images_for_one_record_are_refused(tmp_path, write_image):
    for name in ("day/a.jpg", "night/a.jpg"):
        write_image(tmp_path / name)
    with pytest.raises(InputError, match="is image 1 of"):
        with_annotations(collect_images([tmp_path]), annotated(tmp_path, record(1, "a.jpg")))
