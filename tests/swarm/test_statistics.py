import numpy as np
import pytest

from srtod.swarm.statistics import MEAN_SIZE, OBJECTS_PER_IMAGE, SHARE_UNDER_32, Sizes, sample_count


def test_sizes_follow_drone_swarms():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([Sizes.of_mean(MEAN_SIZE).sample(rng, 10) for _ in range(1_000)])
    assert drawn.mean() == pytest.approx(MEAN_SIZE, abs=0.25)
    assert (drawn <= 32).mean() == pytest.approx(SHARE_UNDER_32, abs=0.003)
    assert drawn.min() >= 2
    assert drawn.max() < 64


@pytest.mark.parametrize("mean", [4.0, 7.9, 16.0, 40.0])
def test_the_cut_distribution_has_the_mean_asked_for(mean):
    sizes = Sizes.of_mean(mean)
    quantiles = [sizes.quantile((i + 0.5) / 4_000) for i in range(4_000)]
    assert sizes.mean == pytest.approx(mean, rel=1e-6)
    assert np.mean(quantiles) == pytest.approx(mean, rel=2e-3)
    assert sizes.low <= min(quantiles) < max(quantiles) <= sizes.high


def test_sizes_in_one_picture_are_alike():
    rng = np.random.default_rng(1)
    pictures = np.log([Sizes.of_mean(8.0).sample(rng, 12) for _ in range(400)])
    assert pictures.mean(1).std() > 0.5 * pictures.std()
    assert pictures.std(1).mean() < 0.9 * pictures.std()


def test_counts_spread_from_one_to_hundreds_about_their_mean():
    rng = np.random.default_rng(2)
    counts = np.array([sample_count(rng, OBJECTS_PER_IMAGE) for _ in range(5_000)])
    assert counts.mean() == pytest.approx(OBJECTS_PER_IMAGE, rel=0.03)
    assert counts.min() == 1
    assert 0.003 < (counts > 100).mean() < 0.03
    assert (counts <= 5).mean() > 0.05


def test_a_mean_of_one_is_always_one():
    rng = np.random.default_rng(3)
    assert {sample_count(rng, 1.0) for _ in range(50)} == {1}
