from typing import Any

import numpy as np
import pytest
from PIL import Image

from srtod.swarm.light import LIGHTS
from srtod.swarm.scenery import Backdrop
from srtod.swarm.sensor import Sensor, blur, expose, sample_sensor, write_jpeg


def make_sensor(**changes) -> Sensor:
    plain: dict[str, Any] = {
        "kernel_x": np.array([0.25, 0.5, 0.25], np.float32),
        "kernel_y": np.ones(1, np.float32),
        "gain": np.ones(3, np.float32),
        "contrast": 0.0,
        "shot": 0.0,
        "read": 0.0,
        "quality": 90,
    }
    return Sensor(**{**plain, **changes})


def grey(level: float, size=(120, 90)) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.float32)


def test_blur_spreads_light_and_keeps_its_sum():
    image = np.zeros((5, 7), np.float32)
    image[2, 3] = 1
    blurred = blur(image, make_sensor())
    np.testing.assert_allclose(blurred[2], [0, 0, 0.25, 0.5, 0.25, 0, 0])
    assert blurred.sum() == pytest.approx(1)
    np.testing.assert_allclose(blur(grey(0.4), make_sensor()), 0.4, rtol=1e-6)


@pytest.mark.parametrize(
    ("level", "value"), [(0.0, 0), (0.2140, 127), (1.0, 255), (7.0, 255), (0.0031308, 10)]
)
def test_the_plain_tone_curve_is_srgb(level, value):
    picture = expose(grey(level), make_sensor(), np.random.default_rng(0))
    assert picture.dtype == np.uint8
    assert abs(int(picture[40, 60, 1]) - value) <= 1


def test_a_picture_in_bands_is_blurred_as_a_whole():
    image = np.random.default_rng(0).random((130, 40, 3), dtype=np.float32)
    sensor = make_sensor(kernel_y=np.full(5, 0.2, np.float32))
    expected = expose(
        blur(image, sensor), make_sensor(kernel_x=np.ones(1, np.float32)), np.random.default_rng(0)
    )
    found = expose(image, sensor, np.random.default_rng(0))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_noise_grows_with_light_and_has_no_colour_or_pattern():
    sensor = make_sensor(shot=4e-4, kernel_x=np.ones(1, np.float32))
    rng = np.random.default_rng(0)
    linear = {level: (expose(grey(level, (200, 200)), sensor, rng) / 255.0) ** 2.2 for level in (0.1, 0.4)}
    for level, picture in linear.items():
        assert picture.std() == pytest.approx(np.sqrt(4e-4 * level), rel=0.15)
        rows = picture[1:, :, 1].ravel(), picture[:-1, :, 1].ravel()
        assert abs(np.corrcoef(*rows)[0, 1]) < 0.03


def test_automatic_exposure_brings_dark_scenes_nearer_to_bright_ones():
    rng = np.random.default_rng(0)
    light = LIGHTS["day"](rng)
    gains = {
        level: np.mean([sample_sensor(rng, Backdrop(grey(level), light, "")).gain.mean() for _ in range(40)])
        for level in (0.01, 0.5)
    }
    assert 1.5 < gains[0.01] / gains[0.5] < 50


def test_kernels_are_symmetric_and_sum_to_one():
    rng = np.random.default_rng(0)
    scene = Backdrop(grey(0.3), LIGHTS["night"](rng), "")
    for _ in range(40):
        sensor = sample_sensor(rng, scene)
        for kernel in (sensor.kernel_x, sensor.kernel_y):
            assert kernel.sum() == pytest.approx(1, abs=1e-5)
            assert len(kernel) % 2 == 1
            np.testing.assert_allclose(kernel, kernel[::-1], rtol=1e-5)


def test_jpeg_is_written_with_the_quality(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for quality in (50, 95):
        write_jpeg(picture, tmp_path / f"{quality}.jpg", make_sensor(quality=quality))
    with Image.open(tmp_path / "95.jpg") as image:
        assert image.format == "JPEG"
        assert image.size == (64, 64)
    assert (tmp_path / "95.jpg").stat().st_size > 2 * (tmp_path / "50.jpg").stat().st_size
