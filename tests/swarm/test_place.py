from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srtod.swarm.flyers import DRONES, draw_flyer, pose
from srtod.swarm.light import LIGHTS
from srtod.swarm.place import Canvas, Patch, fit, sample_centres, shrink, visible_box
from srtod.swarm.scenery import Backdrop
from srtod.swarm.sensor import Sensor, blur, sample_sensor


def make_sensor(seed: int = 0) -> Sensor:
    rng = np.random.default_rng(seed)
    sensor = sample_sensor(rng, Backdrop(np.full((8, 8, 3), 0.4, np.float32), LIGHTS["day"](rng), ""))
    kernel = np.array((0.1, 0.8, 0.1), np.float32)
    return replace(sensor, kernel_x=kernel, kernel_y=kernel)


def dark_square(side: int = 40) -> np.ndarray:
    drawing = np.zeros((side, side, 4), np.float32)
    drawing[..., 3] = 1
    return drawing


@settings(max_examples=60)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    scale=st.floats(0.03, 1.5),
    down=st.floats(0, 1),
    right=st.floats(0, 1),
    smear=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
)
def test_shrinking_keeps_the_area_and_the_place(height, width, scale, down, right, smear):
    drawing = np.ones((height, width, 1), np.float32)
    small = shrink(drawing, scale, np.array((down, right)), margin=2, smear=smear)[..., 0]
    assert small.sum() == pytest.approx(height * width * scale**2, rel=1e-3)
    assert small.min() >= -1e-4
    assert small.max() <= 1 + 1e-4
    reach = 2 + np.ceil(np.abs(smear))
    rows, columns = np.mgrid[: small.shape[0], : small.shape[1]] + 0.5
    assert (small * rows).sum() / small.sum() == pytest.approx(reach[1] + down + height * scale / 2, abs=0.5)
    assert (small * columns).sum() / small.sum() == pytest.approx(
        reach[0] + right + width * scale / 2, abs=0.5
    )


def test_half_covered_pixels_are_half_transparent():
    small = shrink(dark_square(8), 0.25, np.array((0.5, 0.0)), margin=1, smear=(0, 0))[..., 3]
    np.testing.assert_allclose(small[:, 1], [0, 0.5, 1, 0.5, 0], atol=1e-6)


def test_fitted_boxes_have_the_size_asked_for_on_average():
    rng = np.random.default_rng(0)
    light = LIGHTS["day"](rng)
    wanted = np.tile(np.arange(2.5, 20, 0.5), 6)
    found = []
    for size in wanted:
        kind = DRONES[int(rng.integers(len(DRONES)))][0]
        drawing = draw_flyer(kind(rng, lamps=False), pose(rng, bank=0.2), light, size)
        box = fit(rng, drawing, size, make_sensor(int(rng.integers(99))), (1.0, 0.0)).box
        found.append(np.sqrt((box[2:] - box[:2]).prod()))
    assert np.mean(found - wanted) == pytest.approx(0, abs=0.15)
    assert np.std(found - wanted) < 1.0


def test_boxes_are_tight_and_never_empty():
    alpha = np.zeros((9, 12), np.float32)
    alpha[2:5, 3:10] = 0.8
    alpha[1, 4] = 0.1
    np.testing.assert_array_equal(visible_box(alpha), [3, 2, 10, 5])
    np.testing.assert_array_equal(visible_box(0.01 * alpha), [3, 2, 10, 5])


def test_what_is_put_changes_the_picture_inside_its_box_only():
    rng = np.random.default_rng(0)
    sensor = make_sensor()
    for size in (2.5, 4.0, 9.0, 25.0):
        canvas = Canvas(np.full((80, 90, 3), 0.4, np.float32), sensor)
        patch = fit(rng, dark_square(), size, sensor, (0.0, 0.0))
        box = canvas.put(rng, patch, np.array([[40.3, 35.8]]), fade=0.0)
        assert box is not None
        change = np.abs(blur(canvas.image, sensor) - 0.4).max(-1)
        x1, y1, x2, y2 = box
        inside = change[y1:y2, x1:x2].copy()
        for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
            assert edge.max() > 0.1 * 0.4
        change[y1:y2, x1:x2] = 0
        assert change.max() < 0.16 * 0.4


def test_things_do_not_overlap_much_and_stay_inside():
    rng = np.random.default_rng(0)
    sensor = make_sensor()
    canvas = Canvas(np.full((60, 60, 3), 0.4, np.float32), sensor)
    boxes = []
    for _ in range(60):
        patch = fit(rng, dark_square(), 8.0, sensor, (0.0, 0.0))
        box = canvas.put(rng, patch, sample_centres(rng, (60, 60), np.empty((0, 3))), fade=0.0)
        if box is not None:
            boxes.append(box)
    assert 20 < len(boxes) < 60
    boxes = np.array(boxes)
    assert boxes.min() >= 0
    assert boxes.max() <= 60
    sides = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    shared = sides.clip(0).prod(-1) / (boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None]
    np.fill_diagonal(shared, 0)
    assert shared.max() <= 0.12


@pytest.mark.parametrize("level", [0.002, 0.05, 0.4, 0.9])
def test_a_thing_of_its_surroundings_colour_is_made_visible(level):
    rng = np.random.default_rng(0)
    sensor = make_sensor()
    canvas = Canvas(np.full((40, 40, 3), level, np.float32), sensor)
    drawing = dark_square()
    drawing[..., :3] = level
    patch = fit(rng, drawing, 6.0, sensor, (0.0, 0.0))
    assert canvas.put(rng, patch, np.array([[20.0, 20.0]]), fade=0.8) is not None
    tones = np.sqrt(np.clip(blur(canvas.image, sensor) * sensor.gain, 0, 1)).mean(-1)
    assert np.ptp(tones) > 0.05


def test_a_thing_nobody_could_see_is_not_put():
    rng = np.random.default_rng(0)
    canvas = Canvas(np.full((40, 40, 3), 0.4, np.float32), make_sensor())
    ghost = Patch(np.full((6, 6, 4), 1e-3, np.float32), np.array((0, 0, 6, 6)))
    assert canvas.put(rng, ghost, np.array([[20.0, 20.0]]), fade=0.0) is None
    assert (canvas.image == np.float32(0.4)).all()


def test_fading_lowers_contrast_but_not_below_what_can_be_seen():
    def contrast(fade: float) -> float:
        rng = np.random.default_rng(0)
        canvas = Canvas(np.full((40, 40, 3), 0.4, np.float32), make_sensor())
        patch = fit(rng, dark_square(), 8.0, make_sensor(), (0.0, 0.0))
        assert canvas.put(rng, patch, np.array([[20.0, 20.0]]), fade=fade) is not None
        return float(np.ptp(np.sqrt(canvas.image)))

    assert contrast(0.0) > 1.5 * contrast(0.5) > 1.5 * contrast(1.0) > 0.05


def test_swarms_gather_places():
    rng = np.random.default_rng(0)
    swarm = np.array([[500.0, 300.0, 40.0]])
    centres = sample_centres(rng, (1920, 1080), swarm)
    assert np.median(np.hypot(*(centres[:40] - (500, 300)).T)) < 80
    assert np.ptp(centres[40:, 0]) > 1000
