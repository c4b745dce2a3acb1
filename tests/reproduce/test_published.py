import pytest

from srtod.cli.reproduce import TABLES
from srtod.recipes import load_recipe, recipe_names
from srtod.reproduce.published import choose_rows, published_tables
from srtod.reproduce.rows import resolve
from srtod.support.errors import InputError

PUBLISHED = published_tables()


def test_every_table_is_a_command():
    assert list(TABLES) == list(PUBLISHED) == [f"table-{number}" for number in range(1, 8)]


def test_tables_1_to_3_have_a_row_for_each_published_recipe():
    used = {row.recipe for name in ("table-1", "table-2", "table-3") for row in PUBLISHED[name].rows}
    assert used == {name for name in recipe_names() if name.startswith(("droneswarms", "visdrone", "aitod"))}


@pytest.mark.parametrize("table", PUBLISHED.values(), ids=lambda table: table.name)
def test_rows_are_of_the_tables_data_and_bases_exist(table):
    keys = [row.key for row in table.rows]
    assert {load_recipe(row.recipe).about.dataset for row in table.rows} == {table.dataset}
    assert {row.base for row in table.rows} - {None} <= set(keys)
    assert all(set(table.scores[key]) == set(table.columns) for key in keys)
    if table.name in ("table-1", "table-2", "table-3"):
        for row in table.rows:
            assert (row.base is not None) == row.key.endswith("-srtod")
            assert row.base in (None, row.key.removesuffix("-srtod"))


@pytest.mark.parametrize("name", ["table-4", "table-5", "table-6", "table-7"])
def test_ablations_are_different_switches_of_one_recipe(name):
    recipes = [resolve(row).model.self_reconstruction for row in PUBLISHED[name].rows]
    assert all(one != other for i, one in enumerate(recipes) for other in recipes[:i])
    assert len({row.recipe for row in PUBLISHED[name].rows if row.base}) == 1


def test_some_published_numbers():
    assert PUBLISHED["table-1"].scores["rfla-srtod"]["AP50"] == 0.889
    assert PUBLISHED["table-3"].scores["detectors-srtod"]["APs"] == 0.293
    assert PUBLISHED["table-5"].scores["none"]["APvt"] == 0.022
    assert PUBLISHED["table-7"].scores["high-frequency"]["AP"] == 0.384


def test_rows_are_chosen_in_the_tables_order():
    rows = PUBLISHED["table-4"].rows
    assert choose_rows(rows, ()) == rows
    assert [row.key for row in choose_rows(rows, ("enhancement", "base"))] == ["base", "enhancement"]
    with pytest.raises(
        InputError, match=r"--rows bas: no such row \(did you mean 'base'\?\); there are base, "
    ):
        choose_rows(rows, ("bas",))
