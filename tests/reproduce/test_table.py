"""From results to numbers, and from numbers to three files that tell the same."""

import json
from html.parser import HTMLParser

import pytest

from srtod.reproduce.plan import RunPlan
from srtod.reproduce.rows import Comparison, Row
from srtod.reproduce.table import Estimate, lines_of, table_rows, write_table

COLUMNS = ("AP", "APvt")
BASE, OWN = Row("base", "<b>a | b</b>", "small"), Row("own", "own", "small", base="base")
PLAN = RunPlan(
    asked={"--scale": "full", "--set": [], "--budget": None},
    data={
        "name": "swarm",
        "classes": ["drone"],
        "held_out_split": "val",
        "train_images": 8,
        "train_boxes": 24,
        "held_out_images": 4,
        "held_out_boxes": 12,
    },
)


def compared(published=None):
    return Comparison("A <title>", (BASE, OWN), COLUMNS, published=published or {}, notes=("a <note>",))


def rows(results, published=None):
    return table_rows(compared(published), results)


@pytest.fixture
def results(result):
    return [result("base", 0, AP=0.1), result("own", 0, AP=0.12), result("own", 1, AP=0.16)]


PUBLISHED = {"base": {"AP": 0.364, "APvt": 0.1}, "own": {"AP": 0.383, "APvt": 0.05}}


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
    assert (base.paper, base.paper_gain) == ({"AP": 0.364}, None)
    assert own.paper_gain == {"AP": 0.019}
    assert own.ours is None and own.gain is None


def test_lines_are_percent_with_one_decimal(results):
    base, own = (lines_of(row, COLUMNS) for row in rows(results, PUBLISHED))
    assert base == [("paper", ["36.4", "10.0"]), ("ours, 1 seed", ["10.0", "-"])]
    assert own == [
        ("paper", ["38.3", "5.0"]),
        ("ours, 2 seeds", ["14.0 ± 2.8", "-"]),
        ("gain, paper", ["+1.9", "-5.0"]),
        ("gain, ours", ["+2.0", "-"]),
    ]


def test_next_to_nothing_has_no_sign_of_its_own(result):
    _, own = rows([result("base", 0, AP=0.0001), result("own", 0, AP=0.0)])
    assert lines_of(own, ("AP",))[-1] == ("gain, ours", ["+0.0"])


def test_a_row_without_runs_says_so():
    assert lines_of(rows([])[0], COLUMNS) == [("ours: not run", ["-", "-"])]


def test_three_files_tell_the_same(results, tmp_path):
    text = write_table(tmp_path, compared(PUBLISHED), PLAN, results)
    assert (tmp_path / "table.md").read_text() == text
    assert "| <b>a \\| b</b> | paper | 36.4 | 10.0 |" in text
    assert "|  | gain, ours | +2.0 | - |" in text and "- a <note>" in text
    told = json.loads((tmp_path / "table.json").read_text())
    assert told["rows"][1]["ours"]["AP"] == {
        "mean": 0.14,
        "spread": pytest.approx(0.0283, abs=1e-4),
        "count": 2,
    }
    assert told["rows"][0]["paper"] == {"AP": 0.364, "APvt": 0.1}
    assert [run["seed"] for run in told["rows"][1]["runs"]] == [0, 1]
    assert told["plan"] == PLAN.model_dump(mode="json")


def test_the_page_escapes_and_loads_nothing(results, tmp_path):
    write_table(tmp_path, compared(PUBLISHED), PLAN, results)
    page = (tmp_path / "table.html").read_text()
    cells = []
    parser = HTMLParser()
    parser.handle_data = lambda text: cells.append(text.strip())
    parser.feed(page)
    assert "<b>a" not in page and "<note>" not in page
    assert "://" not in page and "<script" not in page
    assert {"<b>a | b</b>", "a <note>", "14.0 ± 2.8", "gain, ours", "APvt"} <= set(cells)
