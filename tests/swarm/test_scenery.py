import numpy as np
import pytest

from srtod.support.errors import InputError
from srtod.swarm.noise import tiles
from srtod.swarm.scenery import HELD_OUT, LANDS, SCENERY, TRAINING, choose_scenery, draw_scene


@pytest.mark.parametrize("name", SCENERY)
def test_every_scenery_is_light_of_the_right_shape(name):
    scene = draw_scene(np.random.default_rng(3), tiles((0,)), name, (97, 61))
    assert scene.image.shape == (61, 97, 3)
    assert scene.image.dtype == np.float32
    assert np.isfinite(scene.image).all()
    assert (scene.image >= 0).all()
    assert scene.image.std() > 0


@pytest.mark.parametrize("land", LANDS)
def test_nights_are_darker_than_days(land):
    day, night = (
        np.mean(
            [
                draw_scene(np.random.default_rng(i), tiles((0,)), f"{land}-{light}", (64, 48)).image.mean()
                for i in range(3)
            ]
        )
        for light in ("day", "night")
    )
    assert night < 0.4 * day


def test_the_same_numbers_draw_the_same_scene_and_others_another():
    first, same, other = (
        draw_scene(np.random.default_rng(seed), tiles((0,)), "mountains-day", (64, 48)).image
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_training_and_held_out_scenery_are_apart_and_both_show_every_main_landscape():
    assert not set(TRAINING) & set(HELD_OUT)
    assert set(TRAINING) | set(HELD_OUT) == set(SCENERY)
    for names in (TRAINING, HELD_OUT):
        assert {"sky", "mountains", "city"} <= {name.split("-")[0] for name in names}


def test_scenery_is_chosen_by_landscape_light_or_both():
    assert set(choose_scenery(["city"])) == {name for name in SCENERY if name.startswith("city-")}
    assert set(choose_scenery(["night"])) == {name for name in SCENERY if name.endswith("-night")}
    assert choose_scenery(["city-night", "city-night"]) == ("city-night",)


def test_unknown_scenery_is_refused_with_the_near_word():
    with pytest.raises(InputError, match=r"'montains' is unknown \(did you mean 'mountains'\?\)"):
        choose_scenery(["montains"])
