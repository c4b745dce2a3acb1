import numpy as np
import pytest
from PIL import Image

from srtod.plots import Scene, draw_detections
from srtod.plots.palette import PAPER, class_colour
from srtod.support.errors import InputError

CLASSES = ("drone", "bird")


def scene(width, height, count, side=8):
    chance = np.random.default_rng(0)
    image = np.full((height, width, 3), 90, dtype=np.uint8)
    side = min(side, width, height)
    corners = chance.random((count, 2)) * (width - side, height - side)
    boxes = np.concatenate((corners, corners + side), axis=1)
    return image, boxes, chance.random(count), chance.integers(0, 2, count)


def draw(*found, truth=None, ignore=None, **options):
    return draw_detections(Scene(*found, CLASSES, truth=truth, ignore=ignore), **options)


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(32, 32, 1), (1, 1, 0), (1920, 1080, 26), (600, 900, 40), (3000, 20, 9), (20, 900, 3), (640, 480, 0)],
)
def test_any_size_gives_a_picture_that_contains_the_image(width, height, count):
    picture = draw(*scene(width, height, count))
    assert picture.mode == "RGB"
    assert picture.width >= min(width, 2560)
    assert picture.height > min(height, 2560)


def test_thousands_of_detections_on_a_huge_image():
    picture = draw(*scene(8000, 6000, 3000), title="huge.jpg")
    assert picture.width == 2560


def test_frames_do_not_cover_their_objects():
    image, _, _, _ = scene(1400, 900, 0)
    picture = np.asarray(draw(image, [[500, 400, 506, 405]], [0.9], [0], insets=0))
    frame = (picture == class_colour(0)).all(axis=2)
    frame[: picture.shape[0] - 900] = False  # the legend
    rows, columns = np.nonzero(frame)
    top = picture.shape[0] - 900
    lines = frame[top + 390 : top + 420, 490:520]
    assert lines[8, 8] and lines[8, 17] and lines[16, 8] and lines[16, 17]
    assert not lines[9:16, 9:17].any()
    assert rows.min() >= top and columns.min() >= 490


@pytest.mark.parametrize("size", [(5120, 2880), (2880, 5120)])
def test_no_inset_is_cut_off_at_the_end_of_the_strip(size):
    image, boxes, scores, labels = scene(*size, 60, side=30)
    wide = size[0] > size[1]
    picture = draw(image, boxes, scores, labels)
    plain = draw(image, boxes, scores, labels, insets=0)
    side = (picture.height - plain.height if wide else picture.width - plain.width) - round(10 * 2560 / 1400)
    strip = np.asarray(picture)[-side:] if wide else np.asarray(picture)[-2560:, -side:].swapaxes(0, 1)
    columns = (strip != PAPER).any(axis=2).any(axis=0).nonzero()[0]
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    assert (picture.width == plain.width) if wide else (picture.height == plain.height)
    assert len(runs) == 6
    assert {len(run) for run in runs} == {side}


def test_insets_lie_outside_the_image():
    image, boxes, scores, labels = scene(1400, 700, 30)
    plain = draw(image, boxes, scores, labels, insets=0)
    with_insets = draw(image, boxes, scores, labels, insets=6)
    assert with_insets.width == plain.width
    assert with_insets.height > plain.height + 150
    strip = np.asarray(with_insets)[-150:]
    assert (strip != np.array(PAPER)).any(axis=2).mean() > 0.8


def test_an_enlarged_small_image_needs_no_insets():
    image, boxes, scores, labels = scene(64, 48, 5, side=4)
    assert draw(image, boxes, scores, labels).width == 64 * 20


def test_low_scores_are_not_drawn():
    image, boxes, _, labels = scene(640, 480, 5)
    hidden = draw(image, boxes, np.full(5, 0.1), labels, min_score=0.3)
    shown = np.asarray(draw(image, boxes, np.full(5, 0.4), labels, min_score=0.3))
    for label in set(labels.tolist()):
        assert (shown == class_colour(label)).all(axis=2).any()
        assert not (np.asarray(hidden) == class_colour(label)).all(axis=2).any()


def test_the_given_image_is_left_alone_and_the_result_repeats():
    image, boxes, scores, labels = scene(640, 480, 50)
    before = image.copy()
    first, second = (
        draw(image, boxes, scores, labels, truth=boxes[:9] + 1, ignore=[[0, 0, 90, 60]]) for _ in range(2)
    )
    assert (image == before).all()
    assert first.tobytes() == second.tobytes()


def test_missed_objects_get_insets_when_nothing_was_found():
    image, truth, _, _ = scene(1400, 700, 12)
    none = np.zeros((0, 4))
    empty = draw(image, none, [], [])
    missed = draw(image, none, [], [], truth=truth)
    assert isinstance(missed, Image.Image)
    assert missed.height > empty.height + 150


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": np.zeros((3, 48, 64), np.uint8)},
            r"image: uint8 .* not uint8 \[3, 48, 64\]",
        ),
        ({"image": np.zeros((48, 64, 3))}, "not float64"),
        ({"boxes": np.zeros((2, 5))}, r"boxes: numbers \[N, 4\] are needed, not \[2, 5\]"),
        ({"scores": [0.5]}, r"scores: numbers \[2\] are needed, not list"),
        ({"labels": np.array([0, 2])}, "labels: from 0 to 2; there are 2 classes"),
        ({"truth": np.zeros((2, 3))}, r"truth: numbers \[N, 4\] are needed, not \[2, 3\]"),
    ],
)
def test_arrays_of_other_shapes_are_refused(change, message):
    image, boxes, scores, labels = scene(64, 48, 2)
    given = {"image": image, "boxes": boxes, "scores": scores, "labels": labels, "classes": CLASSES, **change}
    with pytest.raises(InputError, match=message):
        Scene(**given)
