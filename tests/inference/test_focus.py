"""A second, enlarged look at the windows with most to see."""

import numpy as np
import pytest
import torch

from srtod.boxes.merging import Sightings
from srtod.data.pixels import LoadedPixels, Window
from srtod.inference import SlicedFinder, Slicing, find_in_slices, predict
from srtod.inference.focus import Evidence
from srtod.support.errors import InputError

SIDE = 64
SIZE = (256, 128)


class SeesLarge:
    """Finds a bright square of at least 6 pixels surely, a smaller one with a score of 0.1 a pixel.

    One of at most 2 pixels it does not see at all.
    """

    classes = ("drone",)
    device = torch.device("cpu")

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        self.seen += [tuple(image.shape[1:]) for image in images]
        return [self._find(image) for image in images]

    def _find(self, image):
        rows, columns = (image.mean(dim=0) > 0.5).nonzero(as_tuple=True)
        boxes = []
        if len(rows):
            boxes = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
        sides = [float(box[2] - box[0]) for box in boxes]
        kept = [(box, side) for box, side in zip(boxes, sides, strict=True) if side > 2]
        return {
            "boxes": torch.tensor([box for box, _ in kept], dtype=torch.float).reshape(-1, 4),
            "scores": torch.tensor([1.0 if side >= 6 else 0.1 * side for _, side in kept]),
            "labels": torch.zeros(len(kept), dtype=torch.long),
        }


def scene(*boxes, size=SIZE):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    return pixels


def sliced(**changes):
    return Slicing(**({"side": SIDE, "overlap": 0.0, "zoom": 2} | changes))


def look(pixels, slicing, **options):
    finder = SeesLarge()
    return finder, find_in_slices(finder, LoadedPixels(pixels), slicing, **options)


def test_a_small_object_is_found_surely_when_it_is_looked_at_enlarged():
    box = (40, 40, 44, 44)
    _, once = look(scene(box), sliced())
    finder, twice = look(scene(box), sliced(focus=0.05))
    assert once["scores"].tolist() == pytest.approx([0.4])
    assert twice["scores"].tolist() == [1.0]
    assert twice["boxes"][0].tolist() == pytest.approx(box, abs=0.51)
    assert finder.seen == [(SIDE, SIDE)] * 9  # eight windows, and one of 32 quarters


def test_at_the_images_own_scale_the_first_look_is_at_the_image_shrunk():
    box = (40, 40, 48, 48)
    finder, found = look(scene(box), sliced(focus=0.1, zoom=1))
    assert (
        finder.seen == [(SIDE, SIDE)] * 3
    )  # the image in two windows of twice the side, shrunk, then one of 8
    assert found["scores"].tolist() == [1.0]
    assert found["boxes"].tolist() == [list(box)]
    _, of_all = look(scene(box), sliced(focus=1.0, zoom=1))
    assert of_all["boxes"].tolist() == [list(box)]


def test_what_the_first_look_did_not_see_is_found_by_the_high_pass():
    box = (200, 100, 202, 102)
    _, by_scores = look(scene(box), sliced(focus=0.1, focus_by="scores"))
    _, by_high_pass = look(scene(box), sliced(focus=0.1, focus_by="high-pass"))
    assert len(by_scores["boxes"]) == 0
    assert by_high_pass["boxes"][0].tolist() == pytest.approx(box, abs=0.51)


class ShowsDim(SeesLarge):
    """As it, with a mask of cells of 4 pixels that are at all bright."""

    self_reconstruction = object()

    def explain(self, image):
        grey = image.mean(dim=0, keepdim=True)
        cells = torch.nn.functional.max_pool2d(grey, 4, ceil_mode=True)
        return {"mask": (cells > 0.1).float(), "difference": grey}


def test_what_the_first_look_did_not_see_is_found_by_the_mask():
    pixels = scene((200, 100, 202, 102))
    for finder, count in ((SeesLarge(), 0), (ShowsDim(), 1)):
        by = "mask" if count else "scores"
        found = find_in_slices(finder, LoadedPixels(pixels), sliced(focus=0.05, focus_by=by))
        assert len(found["boxes"]) == count
    assert found["boxes"][0].tolist() == pytest.approx((200, 100, 202, 102), abs=0.51)


@pytest.mark.parametrize(("share", "again"), [(0.0, 0), (0.01, 1), (0.1, 3), (0.3, 10), (0.5, 16), (1.0, 32)])
def test_the_share_of_windows_is_looked_at_again(share, again):
    boxes = [
        (left + 10, top + 10, left + 13, top + 13) for left in range(0, 256, 32) for top in range(0, 128, 32)
    ]
    slicing = sliced(focus=share, focus_by="high-pass")
    passes = []
    finder, _ = look(scene(*boxes), slicing, on_pass=passes.append, batch_size=3)
    assert len(finder.seen) == sum(passes) == slicing.passes(SIZE) == 8 + again
    assert set(finder.seen) == {(SIDE, SIDE)}


@pytest.mark.parametrize("by", ["scores", "high-pass"])
def test_an_empty_image_costs_the_first_look_alone(by):
    finder, found = look(scene(), sliced(focus=0.5, focus_by=by))
    assert len(finder.seen) == 8 and len(found["boxes"]) == 0


def test_all_windows_are_all_windows_even_of_an_empty_image():
    finder, _ = look(scene(), sliced(focus=1.0))
    assert len(finder.seen) == 8 + 32


@pytest.mark.parametrize("zoom", [1, 2])
@pytest.mark.parametrize("by", ["scores", "high-pass"])
@pytest.mark.parametrize("size", [(20, 20), (64, 64), (65, 33), (250, 121)])
def test_images_of_any_size_are_looked_at_again(size, by, zoom):
    side = 8 // zoom
    box = (12, 12, 12 + side, 12 + side)
    finder, found = look(scene(box, size=size), sliced(focus=0.3, overlap=0.2, focus_by=by, zoom=zoom))
    assert found["scores"][0] == 1.0
    assert found["boxes"][0].tolist() == pytest.approx(box, abs=0.51)
    assert finder.seen[-1] == (min(SIDE, zoom * size[1]), min(SIDE, zoom * size[0]))


def test_tensors_and_pixels_are_looked_at_alike():
    pixels = scene((40, 40, 44, 44), (200, 100, 203, 103))
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    for by in ("scores", "high-pass"):
        slicing = sliced(focus=0.1, focus_by=by, overlap=0.2)
        _, of_pixels = look(pixels, slicing)
        (of_tensor,) = SlicedFinder(SeesLarge(), slicing)([image])
        assert all(torch.equal(of_pixels[name], of_tensor[name]) for name in of_pixels)


def test_no_focus_is_as_ever(detector, write_image, tmp_path):
    path = write_image(tmp_path / "a.png")
    (usual,) = predict(path, detector, slice=32)
    (same,) = predict(path, detector, slice=Slicing(32, focus=0.0, focus_by="difference"))
    assert np.array_equal(usual.boxes, same.boxes) and np.array_equal(usual.scores, same.scores)


@pytest.mark.parametrize("by", ["scores", "mask", "difference", "high-pass", "both"])
def test_a_detector_looks_again_by_anything(detector, write_image, tmp_path, by):
    path = write_image(tmp_path / "a.png")
    (found,) = predict(path, detector, slice=Slicing(32, focus=0.3, focus_by=by))
    assert len(found.boxes)
    assert found.boxes[:, 2].max() <= 64 and found.boxes[:, 3].max() <= 48


@pytest.mark.parametrize("by", ["mask", "difference", "both"])
def test_there_are_no_maps_without_self_reconstruction(plain_detector, write_image, tmp_path, by):
    path = write_image(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=f"focus by {by}: .* no self-reconstruction.*; use scores or high-pass"
    ):
        next(predict(path, plain_detector, slice=Slicing(32, focus=0.3, focus_by=by)))
    with pytest.raises(InputError, match="no self-reconstruction"):
        look(scene(), sliced(focus=0.3, focus_by=by))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"focus": 1.1}, "focus 1.1: give a share of the windows, 0 to 1"),
        ({"focus": -0.1}, "focus -0.1"),
        ({"focus": float("nan")}, "focus nan"),
        ({"zoom": 3}, "zoom 3: use 1 or 2"),
        ({"focus_by": "luck"}, "focus by 'luck': use scores, mask, difference, high-pass, both"),
    ],
)
def test_values_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        sliced(**change)


def test_scores_are_expected_objects_and_chosen_windows_keep_their_order():
    windows = [Window(0, 0, 10, 10), Window(10, 0, 20, 10), Window(20, 0, 30, 10)]
    corners = torch.tensor([[21.0, 1], [23, 1], [25, 1], [1, 1]])
    seen = Sightings(
        torch.cat([corners, corners + 2], dim=1),
        torch.tensor([0.5, 0.25, 0.125, 0.75]),
        torch.zeros(4, dtype=torch.long),
        torch.full((4, 4), torch.inf),
    )
    evidence = Evidence(SeesLarge(), (30, 10), "scores")
    assert evidence.of(windows, seen).tolist() == [0.75, 0.0, 0.875]
    assert evidence.best(windows, 0.34, seen) == windows[2:]
    assert evidence.best(windows, 0.9, seen) == [windows[0], windows[2]]


@pytest.mark.parametrize("by", ["scores", "mask", "both"])
def test_what_a_chosen_window_shows_counts_in_no_other(by):
    windows = [Window(0, 0, 64, 64), Window(32, 0, 96, 64), Window(96, 0, 160, 64)]
    squares = [
        (36, 8, 40, 12),
        (44, 8, 48, 12),
        (52, 8, 56, 12),
        (4, 8, 8, 12),
        (100, 8, 104, 12),
        (108, 8, 112, 12),
    ]
    pixels = torch.from_numpy(scene(*squares, size=(160, 64))).permute(2, 0, 1) / 255
    boxes = torch.tensor(squares, dtype=torch.float)
    seen = Sightings(boxes, torch.full((6,), 0.5), torch.zeros(6).long(), torch.full((6, 4), torch.inf))
    evidence = Evidence(ShowsDim(), (160, 64), by)
    list(evidence.noted([(Window(0, 0, 160, 64), pixels)]))
    values = evidence.of(windows, seen)
    assert values[0] > values[1] > values[2] > 0
    assert evidence.best(windows, 0.67, seen) == [windows[0], windows[2]]
