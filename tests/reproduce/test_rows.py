import pytest

from srtod.cli.reproduce import TABLES as COMMANDS
from srtod.recipes import differing_keys, load_recipe, recipe_names
from srtod.reproduce.rows import Row, choose_rows, left_out, matched, published_tables, resolve
from srtod.support.errors import InputError

TABLES = published_tables()
SRTOD = Row("srtod", "with", "aitod-cascade-rcnn-srtod", base="base")
PLAIN = Row("base", "without", "aitod-cascade-rcnn")


def differing(one, other):
    keys = {key for key, _, _ in differing_keys(one, other)}
    return {key for key in keys if not key.startswith("about.")}


def test_changes_of_a_row_come_last_and_those_for_all_before():
    row = Row("a", "a", "aitod-cascade-rcnn-srtod", ("model.anchor_scale=3",))
    recipe = resolve(row, changes=["model.anchor_scale=5", "train.lr=0.1"])
    assert (recipe.model.anchor_scale, recipe.train.lr) == ((3,), 0.1)


def test_switches_of_self_reconstruction_do_not_give_it_to_plain_rows():
    change = ["model.self_reconstruction.head=lite"]
    assert resolve(PLAIN, changes=change).model.self_reconstruction is None
    switches = resolve(SRTOD, changes=change).model.self_reconstruction
    assert switches is not None and switches.head == "lite"


def test_an_option_of_other_systems_is_left_out_and_a_mistake_is_not():
    dense, change = Row("retina", "retina", "droneswarms-retinanet"), ["model.rpn_proposals=[9, 9]"]
    assert resolve(dense, changes=change) == resolve(dense)
    assert resolve(PLAIN, changes=change).model.rpn_proposals == (9, 9)
    assert left_out((PLAIN, dense), [*change, "train.lr=0.1"]) == {change[0]: ["retina"]}
    both = ["model.system=cascade-rcnn", *change]
    assert resolve(dense, changes=both).model.rpn_proposals == (9, 9) and not left_out((dense,), both)
    with pytest.raises(InputError, match="has no option 'rpn_proposal'"):
        resolve(PLAIN, changes=["model.rpn_proposal=9"])


def test_unmatched_rows_of_table_3_differ_in_the_anchors_too():
    assert "model.anchor_scale" in differing(resolve(PLAIN), resolve(SRTOD))


@pytest.mark.parametrize("scale", ["full", "light"])
@pytest.mark.parametrize("name", TABLES)
def test_matched_rows_differ_in_self_reconstruction_alone(name, scale):
    overlays = ["_light"] if scale == "light" else []
    rows = {row.key: row for row in matched(TABLES[name].rows)}
    assert list(rows) == [row.key for row in TABLES[name].rows]
    pairs = [(rows[row.base], row) for row in rows.values() if row.base]
    assert pairs
    for base, row in pairs:
        keys = differing(resolve(base, overlays=overlays), resolve(row, overlays=overlays))
        assert keys
        assert all(key.startswith("model.self_reconstruction") for key in keys)


def test_matching_leaves_alone_what_no_row_is_compared_with():
    atss = next(row for row in matched(TABLES["table-1"].rows) if row.key == "atss")
    assert atss in TABLES["table-1"].rows


def test_every_table_is_a_command():
    assert list(COMMANDS) == list(TABLES) == [f"table-{number}" for number in range(1, 8)]


def test_tables_1_to_3_have_a_row_for_each_published_recipe():
    used = {row.recipe for name in ("table-1", "table-2", "table-3") for row in TABLES[name].rows}
    assert used == {name for name in recipe_names() if name.startswith(("droneswarms", "visdrone", "aitod"))}


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_of_the_tables_data_and_bases_exist(name):
    table = TABLES[name]
    keys = [row.key for row in table.rows]
    assert {load_recipe(row.recipe).about.dataset for row in table.rows} == {table.dataset}
    assert {row.base for row in table.rows} - {None} <= set(keys)
    assert all(set(table.published[key]) == set(table.columns) for key in keys)
    if name in ("table-1", "table-2", "table-3"):
        for row in table.rows:
            assert (row.base is not None) == row.key.endswith("-srtod")
            assert row.base in (None, row.key.removesuffix("-srtod"))


@pytest.mark.parametrize("name", ["table-4", "table-5", "table-6", "table-7"])
def test_ablations_are_different_switches_of_one_recipe(name):
    recipes = [resolve(row).model.self_reconstruction for row in TABLES[name].rows]
    assert all(one != other for i, one in enumerate(recipes) for other in recipes[:i])
    assert len({row.recipe for row in TABLES[name].rows if row.base}) == 1


def test_some_published_numbers():
    assert TABLES["table-1"].published["rfla-srtod"]["AP50"] == 0.889
    assert TABLES["table-3"].published["detectors-srtod"]["APs"] == 0.293
    assert TABLES["table-5"].published["none"]["APvt"] == 0.022
    assert TABLES["table-7"].published["high-frequency"]["AP"] == 0.384


def test_rows_are_chosen_in_the_tables_order():
    rows = TABLES["table-4"].rows
    assert choose_rows(rows, ()) == rows
    assert [row.key for row in choose_rows(rows, ("enhancement", "base"))] == ["base", "enhancement"]
    with pytest.raises(
        InputError, match=r"--rows bas: no such row \(did you mean 'base'\?\); there are base, "
    ):
        choose_rows(rows, ("bas",))
