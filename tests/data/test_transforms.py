import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srtod.data.transforms import (
    ColorJitter,
    Compose,
    Degrade,
    RandomCrop,
    RandomFlip,
    ScaleJitter,
    crop,
    ignored,
    scale,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int, width: int) -> torch.Tensor:
    return torch.arange(3 * height * width, dtype=torch.float32).reshape(3, height, width) / (
        3 * height * width
    )


def target(*boxes, ignore=None) -> dict:
    count = len(boxes)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(count),
        "ignore": torch.tensor(ignore or [False] * count, dtype=torch.bool),
        "image_id": 7,
    }


@pytest.mark.parametrize(
    ("flip", "dim", "expected"),
    [
        (RandomFlip("horizontal", 1.0), 2, [7.0, 2, 9, 5]),
        (RandomFlip("vertical", 1.0), 1, [1.0, 3, 3, 6]),
    ],
)
def test_flip_moves_pixels_and_boxes_together(flip, dim, expected):
    image, given_target = picture(8, 10), target((1, 2, 3, 5))
    flipped, moved = flip(image, given_target, seeded())
    assert torch.equal(flipped, image.flip(dim))
    assert moved["boxes"].tolist() == [expected]
    assert moved["image_id"] == 7
    assert given_target["boxes"].tolist() == [[1, 2, 3, 5]]


def test_flip_never_and_half_of_the_time():
    image, empty = picture(4, 4), target()
    assert torch.equal(RandomFlip("horizontal", 0.0)(image, empty, seeded())[0], image)
    flips = [not torch.equal(RandomFlip("horizontal")(image, empty, seeded(s))[0], image) for s in range(200)]
    assert 70 < sum(flips) < 130


def test_crop_keeps_tiny_boxes_clips_and_ignores_what_is_cut():
    image = picture(20, 30)
    marks = target(
        (12, 6, 13, 7),  # one pixel, inside
        (9, 5, 13, 9),  # three quarters inside
        (8, 5, 12, 9),  # half inside
        (5, 5, 11, 9),  # a sixth inside
        (0, 0, 5, 5),  # outside
        (8, 5, 10, 9),  # touches the edge from outside
        (0, 0, 30, 20),  # a region to ignore around all
        ignore=[False] * 6 + [True],
    )
    window, kept = crop(image, marks, top=5, left=10, height=10, width=15)
    assert torch.equal(window, image[:, 5:15, 10:25])
    assert kept["labels"].tolist() == [0, 1, 2, 3, 6]
    assert kept["ignore"].tolist() == [False, False, False, True, True]
    boxes = [[2, 1, 3, 2], [0, 0, 3, 4], [0, 0, 2, 4], [0, 0, 1, 4], [0, 0, 15, 10]]
    assert kept["boxes"].tolist() == boxes


def test_crop_without_boxes_and_without_ignore():
    bare = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    window, kept = crop(picture(9, 9), bare, top=1, left=1, height=4, width=4)
    assert window.shape == (3, 4, 4)
    assert kept["boxes"].shape == (0, 4)
    assert kept["ignore"].shape == (0,)


def test_crop_larger_than_the_image_leaves_that_side():
    window, kept = RandomCrop(100, 5)(picture(8, 10), target((0, 0, 10, 8)), seeded())
    assert window.shape == (3, 8, 5)
    assert kept["boxes"].tolist() == [[0, 0, 5, 8]]


@given(
    seed=st.integers(0, 10_000),
    left=st.floats(0, 95),
    top=st.floats(0, 55),
    width=st.floats(0.5, 30),
    height=st.floats(0.5, 30),
)
def test_crop_around_objects_always_shows_one(seed, left, top, width, height):
    marks = target((left, top, min(left + width, 100), min(top + height, 60)))
    window, kept = RandomCrop(32, 32, on_objects=1.0)(torch.zeros(3, 60, 100), marks, seeded(seed))
    assert window.shape == (3, 32, 32)
    assert kept["ignore"].tolist() == [False]
    sides = kept["boxes"][0, 2:] - kept["boxes"][0, :2]
    whole = marks["boxes"][0, 2:] - marks["boxes"][0, :2]
    assert torch.allclose(sides, whole, atol=1e-4)


def test_crop_around_an_object_larger_than_the_window_lies_inside_it():
    marks = target((10, 10, 90, 50))
    window, kept = RandomCrop(16, 16, on_objects=1.0)(torch.zeros(3, 60, 100), marks, seeded())
    assert window.shape == (3, 16, 16)
    assert kept["boxes"].tolist() == [[0, 0, 16, 16]]
    assert kept["ignore"].tolist() == [True]  # hardly anything of it is seen


def test_crops_around_objects_do_not_look_for_regions_to_ignore():
    marks = target((0, 0, 2, 2), (90, 50, 92, 52), ignore=[True, False])
    for seed in range(20):
        _, kept = RandomCrop(16, 16, on_objects=1.0)(torch.zeros(3, 60, 100), marks, seeded(seed))
        assert kept["labels"].tolist() == [1]


def test_what_is_not_laid_around_an_object_is_laid_around_a_false_alarm():
    marks = target((0, 0, 2, 2)) | {"false_alarms": torch.tensor([[90.0, 50, 92, 52]])}
    shown = torch.zeros(3, 60, 100)
    shown[:, 50:52, 90:92] = 1
    for seed in range(20):
        window, kept = RandomCrop(16, 16, on_objects=0.0)(shown, marks, seeded(seed))
        assert window.sum() == 12
        assert not len(kept["boxes"])
        assert "false_alarms" not in kept  # their places are of the whole image
    _, kept = RandomCrop(16, 16, on_objects=1.0)(shown, marks, seeded())
    assert len(kept["boxes"])


def test_random_crops_reach_every_place():
    image = picture(5, 6)
    starts = {float(RandomCrop(4, 4)(image, target(), seeded(s))[0][0, 0, 0]) for s in range(200)}
    assert starts == {float(image[0, top, left]) for top in (0, 1) for left in (0, 1, 2)}


def test_scaling_keeps_objects_where_they_are_in_the_picture():
    image = torch.zeros(3, 40, 60)
    image[:, 10:18, 20:32] = 1.0
    resized, marks = scale(image, target((20, 10, 32, 18)), 1.5)
    assert resized.shape == (3, 60, 90)
    assert marks["boxes"].tolist() == [[30, 15, 48, 27]]
    assert float(resized[:, 16:26, 31:47].min()) > 0.9 and float(resized[:, :13].max()) == 0
    assert not ignored(marks).any()


def test_what_scaling_makes_too_small_to_be_seen_is_ignored():
    _, marks = scale(torch.zeros(3, 40, 60), target((1, 1, 4, 4), (10, 10, 20, 20)), 0.5)
    assert ignored(marks).tolist() == [True, False]


@pytest.mark.parametrize("factor", [1.05, 2.0])
def test_what_scaling_enlarges_is_learned_however_small(factor):
    _, marks = scale(torch.zeros(3, 40, 60), target((1, 1, 2, 2), (10, 10, 20, 20)), factor)
    assert not ignored(marks).any()


def test_scaled_pieces_have_the_size_of_others():
    image, marks = picture(64, 80), target((3, 3, 13, 13), (40, 20, 50, 30))
    jitter = ScaleJitter(1.0, RandomCrop(24, 24, on_objects=1.0))
    pieces = [jitter(image, marks, seeded(seed)) for seed in range(40)]
    assert {side for piece, _ in pieces for side in piece.shape[-2:]} <= {23, 24}
    sides = torch.cat([own["boxes"][~ignored(own)] for _, own in pieces])
    widths = (sides[:, 2] - sides[:, 0]).tolist()
    assert min(widths) < 7 and max(widths) > 15


def test_whole_images_are_enlarged_as_often_as_they_shrink():
    image, marks = picture(30, 40), target((3, 3, 13, 13))
    heights = [ScaleJitter(0.5)(image, marks, seeded(seed))[0].shape[-2] for seed in range(200)]
    assert min(heights) >= 20 and max(heights) <= 45
    assert 0.4 < sum(height > 30 for height in heights) / 200 < 0.6
    assert ScaleJitter(0.0)(image, marks, seeded())[0] is image


def test_jitter_changes_light_and_no_box():
    image, marks = picture(8, 8), target((1, 1, 2, 2))
    changed, same = ColorJitter(0.4, 0.4)(image, marks, seeded())
    assert same is marks
    assert changed.shape == image.shape
    assert not torch.allclose(changed, image)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert torch.allclose(ColorJitter()(image, marks, seeded())[0], image, atol=1e-6)


def test_same_seed_same_sample():
    chain = Compose([RandomFlip("horizontal"), RandomCrop(8, 8, 0.5), ColorJitter(0.2, 0.2)])
    image, marks = picture(20, 30), target((3, 3, 5, 5), (20, 10, 22, 12))
    first, again, other = (chain(image, marks, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1]["boxes"], again[1]["boxes"])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("change", ["gamma", "invert", "grey", "blur", "noise", "jpeg"])
def test_degrading_changes_pixels_alone_and_by_its_generator_alone(change):
    image = torch.randint(0, 256, (3, 24, 32), dtype=torch.uint8, generator=seeded(1))
    marks, before = target((4, 4, 9, 9)), image.clone()
    degrade = Degrade(**{change: 1.0})
    (one, kept), (again, _) = (degrade(image, marks, seeded(2)) for _ in range(2))
    assert one.dtype == torch.uint8 and one.shape == image.shape and kept is marks
    assert torch.equal(one, again) and not torch.equal(one, image) and torch.equal(image, before)
    same, _ = Degrade()(image, marks, seeded(2))
    assert torch.equal(same, image)


def test_a_grey_picture_has_three_equal_channels():
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=seeded())
    grey, _ = Degrade(grey=1.0)(image, target(), seeded())
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[1], grey[2])


def test_an_inverted_picture_is_its_negative():
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=seeded())
    negative, _ = Degrade(invert=1.0)(image, target(), seeded())
    assert torch.equal(negative, 255 - image)


def test_a_gamma_is_as_often_below_one_as_above():
    image = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    means = [float(Degrade(gamma=1.0)(image, target(), seeded(s))[0].float().mean()) for s in range(200)]
    assert 0.4 < sum(mean > 100 for mean in means) / 200 < 0.6
    assert min(means) >= 255 * (100 / 255) ** 2 - 1 and max(means) <= 255 * (100 / 255) ** 0.5 + 1
