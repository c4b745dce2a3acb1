import numpy as np
import pytest

from srtod.swarm.light import LIGHTS, rgb
from srtod.swarm.terrain import Camera, Surface, draw_land, find_hits, hazed

CAMERA = Camera(width=8, height=200, horizon=60.0, focal=200.0, altitude=100.0)


def flat(height: float = 0.0) -> np.ndarray:
    return np.full((len(CAMERA.distance), CAMERA.width), height, np.float32)


def test_level_ground_is_seen_below_the_horizon_at_the_distance_perspective_gives():
    hits = find_hits(CAMERA, flat(), blend=True)
    assert hits is not None
    assert 60 <= hits.top <= 63
    rows = np.arange(hits.top, CAMERA.height)
    found = CAMERA.distance[np.minimum(hits.slices[:, 0], len(CAMERA.distance) - 1), 0]
    expected = CAMERA.focal * CAMERA.altitude / (rows - CAMERA.horizon)
    near = expected < 2_000
    np.testing.assert_allclose(found[near], expected[near], rtol=0.1)


def test_a_wall_hides_what_is_behind_it():
    height = flat()
    wall = int(np.searchsorted(CAMERA.distance[:, 0], 500))
    height[wall, 3] = 200
    hits = find_hits(CAMERA, height, blend=False)
    assert hits is not None
    top = CAMERA.horizon - CAMERA.focal * (200 - CAMERA.altitude) / CAMERA.distance[wall, 0]
    assert hits.top == pytest.approx(top, abs=1.5)
    assert (hits.slices[: int(60 - hits.top), 3] == wall).all()
    assert (hits.slices[: int(60 - hits.top), 4] == len(height)).all()


def test_no_ground_in_the_picture():
    camera = Camera(width=8, height=40, horizon=60.0, focal=50.0, altitude=100.0)
    assert find_hits(camera, np.zeros((len(camera.distance), 8), np.float32), blend=True) is None


def test_land_leaves_the_sky_as_it_is_and_fades_into_it():
    light = LIGHTS["day"](np.random.default_rng(0))
    image = np.full((CAMERA.height, CAMERA.width, 3), 9.0, np.float32)
    albedo = np.broadcast_to(rgb(0.1, 0.2, 0.05), (*flat().shape, 3))
    draw_land(image, CAMERA, light, Surface(flat(), albedo))
    assert (image[:58] == 9).all()
    assert (image[64:] < 9).all()
    far, near = (np.abs(image[row, 0] - light.horizon).sum() for row in (66, 195))
    assert far < near


def test_haze_takes_63_percent_at_the_visibility():
    light = LIGHTS["haze"](np.random.default_rng(0))
    colour = hazed(rgb(0, 0, 0), np.array(light.visibility), light)
    np.testing.assert_allclose(colour, (1 - np.exp(-1)) * light.horizon, rtol=1e-5)
