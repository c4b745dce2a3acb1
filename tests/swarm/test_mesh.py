from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from srtod.swarm.flyers import bird, draw_flyer, fixed_wing, insect, multicopter, pose
from srtod.swarm.light import LIGHTS, rgb
from srtod.swarm.mesh import Mesh, draw_mesh, rotation

LIGHT = LIGHTS["day"](np.random.default_rng(0))
UPRIGHT = np.eye(3, dtype=np.float32)


def cube(colour=(0.5, 0.5, 0.5)):
    shape = Mesh()
    shape.add_bar(np.array((-1.0, 0, 0)), np.array((1.0, 0, 0)), 2.0, rgb(*colour))
    return shape


def test_a_cube_covers_its_square():
    alpha = draw_mesh(cube(), UPRIGHT, LIGHT, 20.0)[..., 3]
    assert alpha.sum() == pytest.approx(40 * 40, rel=0.06)


def test_a_ball_is_closed_from_every_side():
    shape = Mesh()
    shape.add_ball(np.zeros(3), np.ones(3), rgb(0.5, 0.5, 0.5))
    for turn in (UPRIGHT, rotation(0, np.pi / 2, 0), rotation(0, -np.pi / 2, 0), rotation(1, 1, 1)):
        alpha = draw_mesh(shape, turn, LIGHT, 30.0)[..., 3]
        middle = alpha[len(alpha) // 4 : -len(alpha) // 4, alpha.shape[1] // 4 : -alpha.shape[1] // 4]
        assert (middle == 1).all()


def test_nearer_faces_hide_farther_ones():
    shape = Mesh()
    for z, colour in ((1.0, rgb(0.9, 0, 0)), (-1.0, rgb(0, 0.9, 0))):
        shape.add_ball(np.array((0, 0, z)), np.full(3, 0.5), colour)
    picture = draw_mesh(shape, UPRIGHT, LIGHT, 20.0)
    assert picture[..., 0].max() > 0.05
    assert picture[..., 1].max() == pytest.approx(0, abs=1e-3)


def test_faces_towards_the_sun_are_brighter():
    sun = replace(LIGHT, direction=np.array((0, 0, 1), np.float32))
    behind = replace(LIGHT, direction=np.array((0, 0, -1), np.float32))
    front, back = (draw_mesh(cube(), UPRIGHT, light, 10.0)[10, 10, :3] for light in (sun, behind))
    np.testing.assert_allclose(front - back, 0.5 * LIGHT.sun, rtol=0.03)


def test_rotors_are_seen_through():
    shape = Mesh()
    shape.add_ball(np.zeros(3), np.full(3, 0.2), rgb(0.1, 0.1, 0.1))
    shape.add_veil(np.zeros(3), 1.0)
    shape.veil = np.array((0.1, 0.1, 0.1, 0.3), np.float32)
    alpha = draw_mesh(shape, rotation(0, np.pi / 2, 0), LIGHT, 20.0)[..., 3]
    assert alpha[len(alpha) // 2, 4] == pytest.approx(0.3, abs=0.01)
    assert alpha.max() == 1


def test_lamps_shine_where_they_are():
    rng = np.random.default_rng(0)
    dark, lit = (
        draw_mesh(multicopter(np.random.default_rng(1), lamps=lamps), UPRIGHT, LIGHTS["night"](rng), 20.0)
        for lamps in (False, True)
    )
    assert dark[..., :3].max() < 0.1
    assert lit[..., :3].max() > 1


@pytest.mark.parametrize(
    "kind", [partial(multicopter, lamps=True), partial(fixed_wing, lamps=True), bird, insect]
)
def test_every_flyer_has_a_picture_in_every_pose(kind):
    rng = np.random.default_rng(0)
    for _ in range(30):
        picture = draw_flyer(kind(rng), pose(rng, bank=0.3), LIGHT, 8.0)
        assert np.isfinite(picture).all()
        assert picture[..., 3].min() >= 0
        assert picture[..., 3].max() <= 1.0001
        assert picture[..., 3].sum() > 30
        assert np.sqrt(picture.shape[0] * picture.shape[1]) == pytest.approx(64, rel=0.25)
