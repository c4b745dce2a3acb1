import pytest
from hypothesis import given
from hypothesis import strategies as st

from srtod.reproduce.budget import LEAST_STEPS, RowCost, choose
from srtod.support.errors import InputError

ROW = RowCost(run=5.0, epoch=1.0, step=0.5, image=0.1, steps=100)


def seconds(costs, chosen, *, seeds, images):
    own = (
        cost.run
        + chosen.epochs * (cost.epoch + chosen.fraction * cost.steps * cost.step)
        + chosen.held_out * images * cost.image
        for cost in costs
    )
    return seeds * sum(own)


def test_as_many_epochs_as_fit():
    chosen = choose([ROW, ROW], seeds=1, images=50, epochs=20, seconds=600)
    assert (chosen.epochs, chosen.fraction, chosen.held_out) == (5, 1.0, 1.0)
    assert chosen.estimate == pytest.approx(10 + 10 + 5 * 2 * 51)


def test_never_more_than_the_recipe_has():
    assert choose([ROW], seeds=1, images=10, epochs=3, seconds=1e6).epochs == 3


def test_a_part_of_an_epoch_where_none_fits():
    chosen = choose([ROW], seeds=1, images=10, epochs=20, seconds=50)
    assert chosen.epochs == 1
    assert LEAST_STEPS / ROW.steps <= chosen.fraction < 1


def test_evaluation_takes_a_third_at_most():
    chosen = choose([ROW], seeds=1, images=100_000, epochs=20, seconds=600)
    assert chosen.held_out * 100_000 * ROW.image <= 600 / 3
    assert chosen.held_out > 0


def test_too_little_says_what_is_enough():
    with pytest.raises(
        InputError, match=r"--budget 0\.5: too little for 2 rows x 3 seed\(s\); about 3 minutes"
    ):
        choose([ROW, ROW], seeds=3, images=10, epochs=20, seconds=30, spent=10)
    choose([ROW, ROW], seeds=3, images=10, epochs=20, seconds=180, spent=10)


@given(
    costs=st.lists(
        st.builds(
            RowCost,
            run=st.floats(0, 60),
            epoch=st.floats(0, 10),
            step=st.floats(0.01, 5),
            image=st.floats(0.001, 2),
            steps=st.integers(1, 5000),
        ),
        min_size=1,
        max_size=5,
    ),
    seeds=st.integers(1, 3),
    images=st.integers(1, 3000),
    budget=st.floats(1, 1e6),
    spent=st.floats(0, 100),
)
def test_what_is_chosen_fits_or_is_refused(costs, seeds, images, budget, spent):
    try:
        chosen = choose(costs, seeds=seeds, images=images, epochs=12, seconds=budget, spent=spent)
    except InputError:
        return
    assert 1 <= chosen.epochs <= 12
    assert 0 < chosen.fraction <= 1 and 0 <= chosen.held_out <= 1
    assert chosen.estimate == pytest.approx(seconds(costs, chosen, seeds=seeds, images=images))
    assert chosen.estimate <= budget - spent
