"""Images are learned from in slices that cover them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srtod.data.pixels import plan_windows
from srtod.data.records import ImageRecord
from srtod.data.slicing import sliced


def record(path, boxes, size=(100, 60), ignore=None):
    count = len(boxes)
    return ImageRecord(
        image_id=1,
        file_name=path.name,
        path=path,
        width=size[0],
        height=size[1],
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        labels=np.arange(count),
        ignore=np.array(ignore or [False] * count, dtype=bool),
        annotation_ids=np.arange(count) + 10,
    )


@pytest.fixture
def path(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_slices_show_the_pixels_and_objects_of_their_window(path):
    whole = record(path, [(2, 3, 8, 9), (44, 10, 54, 20)], ignore=[False, False])
    pieces = sliced([whole], 48, overlap=0.0, empty=1.0, seed=0)
    assert [piece.image_id for piece in pieces] == [
        "1@0,0",
        "1@48,0",
        "1@52,0",
        "1@0,12",
        "1@48,12",
        "1@52,12",
    ]
    assert all((piece.width, piece.height) == (48, 48) for piece in pieces)
    first, second, third = pieces[:3]
    assert np.array_equal(second.read(), whole.read()[0:48, 48:96])
    assert first.boxes.tolist() == [[2, 3, 8, 9], [44, 10, 48, 20]]
    assert first.ignore.tolist() == [False, True]  # four tenths of it are seen
    assert second.boxes.tolist() == [[0, 10, 6, 20]] and second.ignore.tolist() == [False]
    assert second.labels.tolist() == [1] and second.annotation_ids.tolist() == [11]
    assert third.ignore.tolist() == [True]


def test_an_image_that_fits_stays_as_it_is(path):
    whole = record(path, [(2, 3, 8, 9)])
    assert sliced([whole], 100, overlap=0.2, empty=0.0, seed=0) == (whole,)


@pytest.mark.parametrize(("empty", "count"), [(0.0, 1), (0.4, 3), (1.0, 6)])
def test_a_share_of_the_slices_without_an_object_is_kept(path, empty, count):
    whole = record(path, [(2, 3, 8, 9), (0, 0, 100, 60)], ignore=[False, True])
    pieces = sliced([whole], 48, overlap=0.0, empty=empty, seed=0)
    assert len(pieces) == count and pieces[0].image_id == "1@0,0"
    again = sliced([whole], 48, overlap=0.0, empty=empty, seed=0)
    assert [piece.image_id for piece in pieces] == [piece.image_id for piece in again]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 64), st.floats(0, 0.9))
def test_slices_cover_every_pixel(width, height, side, overlap):
    windows = plan_windows((width, height), side, overlap)
    seen = np.zeros((height, width), dtype=bool)
    for left, top, right, bottom in windows:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        seen[top:bottom, left:right] = True
    assert seen.all()
