import pytest

from srtod.reproduce.rows import Row
from srtod.reproduce.table import Estimate, table_rows

BASE, OWN = Row("base", "base", "small"), Row("own", "own", "small", base="base")


def rows(results, published=None):
    return table_rows([BASE, OWN], results, ("AP", "APvt"), published or {})


def test_mean_and_sample_spread(result):
    base, _ = rows([result("base", seed, AP=value) for seed, value in enumerate((0.1, 0.2, 0.3))])
    assert base.ours["AP"] == Estimate(pytest.approx(0.2), pytest.approx(0.1), 3)
    assert "APvt" not in base.ours


def test_a_single_seed_has_no_spread(result):
    assert rows([result("base", 0, AP=0.1)])[0].ours["AP"] == Estimate(0.1, None, 1)


def test_gains_are_of_the_seeds_that_both_rows_have(result):
    own = [result("own", seed, AP=value) for seed, value in ((0, 0.3), (1, 0.5), (2, 0.9))]
    base = [result("base", seed, AP=value) for seed, value in ((1, 0.4), (0, 0.1))]
    gain = rows([*own, *base])[1].gain["AP"]
    assert (gain.mean, gain.count) == (pytest.approx(0.15), 2)
    assert gain.spread == pytest.approx(0.0707, abs=1e-4)


def test_nothing_to_find_is_no_number(result):
    _, own = rows([result("own", 0, AP=0.2, APvt=-1.0), result("base", 0, AP=0.3, APvt=-1.0)])
    assert set(own.ours) == set(own.gain) == {"AP"}
    assert own.gain["AP"].mean == pytest.approx(-0.1)


def test_published_numbers_and_their_gains(result):
    base, own = rows([], {"base": {"AP": 0.364}, "own": {"AP": 0.383}})
    assert (base.published, base.published_gain) == ({"AP": 0.364}, {})
    assert own.published_gain == {"AP": 0.019}
    assert not own.ours and not own.gain
