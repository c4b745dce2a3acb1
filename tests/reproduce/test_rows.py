import pytest

from srtod.recipes import differing_keys
from srtod.reproduce.published import published_tables
from srtod.reproduce.rows import Row, matched, resolve

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
