"""Images in slices: windows that cover them, and objects planted across every border."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srtod.data.pixels import LoadedPixels, Window
from srtod.inference.slices import LONGEST_WHOLE, SlicedFinder, Slicing, find_in_slices
from srtod.support.errors import InputError


@pytest.fixture(scope="module")
def found(picture, sees_all):
    """The boxes that are found, sorted, as whole numbers."""

    def find(size, boxes, slicing, finder=None, **options):
        pixels = LoadedPixels(picture(size, boxes))
        detections = find_in_slices(finder or sees_all(), pixels, slicing, **options)
        return sorted(tuple(map(int, box)) for box in detections["boxes"].tolist())

    return find


lengths = st.integers(1, 400)


@given(lengths, lengths, st.integers(32, 200), st.floats(0, 0.9))
def test_windows_cover_the_image_inside_of_it(width, height, side, overlap):
    windows = Slicing(side, overlap).windows((width, height))
    assert len(set(windows)) == len(windows)
    assert windows == sorted(windows, key=lambda window: (window.top, window.left))
    seen = np.zeros((height, width), bool)
    for left, top, right, bottom in windows:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left, bottom - top) == (min(side, width), min(side, height))
        seen[top:bottom, left:right] = True
    assert seen.all()


@given(lengths, st.integers(32, 200), st.floats(0, 0.9))
def test_neighbouring_windows_share_what_was_asked_for(length, side, overlap):
    windows = Slicing(side, overlap).windows((length, 1))
    for first, second in itertools.pairwise(windows):
        assert first.right - second.left >= round(side * overlap)


def test_the_usual_windows():
    lefts = [window.left for window in Slicing(640, 0.2).windows((1920, 640))]
    assert lefts == [0, 512, 1024, 1280]
    assert Slicing(640, 0.2).windows((500, 300)) == [Window(0, 0, 500, 300)]
    assert Slicing(640, 0.0).windows((1280, 1)) == [Window(0, 0, 640, 1), Window(640, 0, 1280, 1)]


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("side", [3, 8, 20])
def test_objects_across_every_border_are_found_once_and_whole(found, sees_all, side, slip):
    """Objects in rows and columns along each border of each window, from before it to behind it."""
    size, slicing = (300, 240), Slicing(100, 0.2)
    windows = slicing.windows(size)
    across = sorted({edge for window in windows for edge in (window.left, window.right)})
    down = sorted({edge for window in windows for edge in (window.top, window.bottom)})
    for shift in range(-side, 1, max(1, side // 4)):
        places = itertools.product(across, down)
        boxes = [(x + shift, y + shift, x + shift + side, y + shift + side) for x, y in places]
        inside = [box for box in boxes if min(box) >= 0 and box[2] <= size[0] and box[3] <= size[1]]
        apart = [a for i, a in enumerate(inside) if not any(meet(a, b) for b in inside[:i])]
        assert found(size, apart, slicing, sees_all(slip)) == sorted(apart)


def meet(first, second):
    return all(first[i] < second[i + 2] and second[i] < first[i + 2] for i in (0, 1))


@st.composite
def scenes(draw, largest):
    """A size, and boxes inside of it that may touch and do not lie on one another."""
    width, height = draw(st.integers(50, 260)), draw(st.integers(50, 160))
    boxes = []
    for _ in range(draw(st.integers(0, 25))):
        side = draw(st.integers(1, min(largest, 50))), draw(st.integers(1, min(largest, 50)))
        left, top = draw(st.integers(0, width - side[0])), draw(st.integers(0, height - side[1]))
        box = (left, top, left + side[0], top + side[1])
        if not any(meet(box, other) for other in boxes):
            boxes.append(box)
    return (width, height), boxes


@settings(max_examples=60)
@given(scenes(largest=16), st.sampled_from([0.0, 0.3]), st.sampled_from([1, 3]))
def test_scenes_of_objects_smaller_than_the_overlap(found, sees_all, scene, slip, batch_size):
    size, boxes = scene
    assert found(size, boxes, Slicing(64, 0.25), sees_all(slip), batch_size=batch_size) == sorted(boxes)


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("box", [(20, 20, 130, 40), (10, 10, 220, 150), (60, 62, 70, 66), (0, 0, 260, 160)])
def test_objects_larger_than_the_overlap_are_put_together(found, box, overlap):
    assert found((260, 160), [box], Slicing(64, overlap)) == [box]


def test_the_whole_image_is_one_more_pass(found, sees_all):
    size, box = (3 * LONGEST_WHOLE, 30), (300, 0, 2400, 30)
    finder, done = sees_all(), []
    slicing = Slicing(1024, 0.2, full_image=True)
    boxes = found(size, [box], slicing, finder, on_pass=done.append)
    assert finder.batches[-1] == [(10, LONGEST_WHOLE)]
    assert sum(done) == slicing.passes(size) == len(finder.batches) == 9
    assert boxes == [box]


@pytest.mark.parametrize("merge", ["greedy", "nms"])
def test_an_image_of_one_window_is_looked_at_once(found, sees_all, picture, merge):
    size, boxes = (60, 64), [(10, 10, 18, 18), (0, 40, 30, 64)]
    finder, slicing = sees_all(), Slicing(64, 0.2, full_image=True, merge=merge)
    assert found(size, boxes, slicing, finder) == sorted(boxes)
    assert len(finder.batches) == slicing.passes(size) == 1
    image = torch.from_numpy(picture(size, boxes)).permute(2, 0, 1) / 255
    (detections,) = SlicedFinder(sees_all(), slicing)([image])
    assert sorted(map(tuple, detections["boxes"].tolist())) == sorted(boxes)


def test_plain_suppression_leaves_pieces(found):
    box = (60, 20, 68, 28)
    assert found((120, 60), [box], Slicing(64, 0.25, merge="nms")) == [box, (60, 20, 64, 28)][::-1]
    assert found((120, 60), [box], Slicing(64, 0.25)) == [box]


def test_windows_go_through_in_batches(found, sees_all):
    finder = sees_all()
    found((200, 100), [], Slicing(64, 0.25), finder, batch_size=3)
    assert [len(batch) for batch in finder.batches] == [3, 3, 2]
    assert {shape for batch in finder.batches for shape in batch} == {(64, 64)}


def test_a_sliced_finder_finds_in_tensors(sees_all, picture):
    boxes = [(60, 20, 68, 28), (190, 90, 200, 99)]
    images = [
        torch.from_numpy(picture(size, boxes)).permute(2, 0, 1) / 255 for size in ((200, 100), (210, 130))
    ]
    for full_image in (False, True):
        finder = SlicedFinder(sees_all(), Slicing(64, 0.25, full_image=full_image), batch_size=2)
        assert finder.classes == ("drone",) and finder.device.type == "cpu"
        for detections in finder(images):
            assert sorted(tuple(box) for box in detections["boxes"].tolist()) == boxes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 31}, "slice 31: windows need at least 32 pixels"),
        ({"overlap": 1.0}, "overlap 1.0: give a part"),
        ({"overlap": -0.1}, "overlap -0.1"),
        ({"overlap": float("nan")}, "overlap nan"),
        ({"merge": "mean"}, "merge 'mean': use greedy or nms"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Slicing(**options)
