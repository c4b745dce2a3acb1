import numpy as np
import pytest

from srtod.swarm.noise import TILE, View, smoothstep, tiles

PLAIN = View((0.0, 0.0), (1, 1), False)


@pytest.fixture(scope="module")
def smooth():
    return tiles((0,)).smooth


def test_tiles_are_normalised_and_depend_on_the_seed(smooth):
    assert smooth.dtype == np.float32
    assert smooth.mean() == pytest.approx(0, abs=1e-4)
    assert smooth.std() == pytest.approx(1, abs=1e-3)
    assert not np.array_equal(smooth, tiles((1,)).smooth)


def test_samples_at_cells_are_the_cells(smooth):
    x, y = np.arange(-5.0, 5.0, dtype=np.float32), np.array(-3.0)
    expected = smooth[TILE - 3, np.arange(-5, 5) % TILE]
    np.testing.assert_array_equal(PLAIN.sample(smooth, x, y), expected)
    np.testing.assert_array_equal(PLAIN.nearest(smooth, x, y), expected)


def test_samples_between_cells_are_blended_and_tiles_repeat_without_a_seam(smooth):
    x = np.array([0.25, TILE - 0.5, TILE + 0.25], np.float32)
    found = PLAIN.sample(smooth, x, np.array(0.0))
    assert found[0] == pytest.approx(0.75 * smooth[0, 0] + 0.25 * smooth[0, 1], abs=1e-5)
    assert found[1] == pytest.approx((smooth[0, -1] + smooth[0, 0]) / 2, abs=1e-5)
    assert found[2] == pytest.approx(found[0], abs=1e-3)


def test_views_look_at_different_places(smooth):
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(20, dtype=np.float32), np.arange(20, dtype=np.float32))
    first, second = (View.random(rng).sample(smooth, x, y) for _ in range(2))
    assert not np.allclose(first, second)


def test_smoothstep():
    steps = smoothstep(1.0, 3.0, np.array([0.0, 1.0, 2.0, 3.0, 9.0]))
    np.testing.assert_allclose(steps, [0, 0, 0.5, 1, 1])
