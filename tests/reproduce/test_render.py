import json
from html.parser import HTMLParser

import pytest

from srtod.reproduce.render import lines_of, write_tables
from srtod.reproduce.rows import Row
from srtod.reproduce.table import table_rows

COLUMNS = ("AP", "APvt")


@pytest.fixture
def rows(result):
    rows = (Row("base", "<b>a | b</b>", "small"), Row("own", "own", "small", base="base"))
    results = [result("base", 0, AP=0.1), result("own", 0, AP=0.12), result("own", 1, AP=0.16)]
    published = {"base": {"AP": 0.364, "APvt": 0.1}, "own": {"AP": 0.383, "APvt": 0.05}}
    return table_rows(rows, results, COLUMNS, published)


def test_lines_are_percent_with_one_decimal(rows):
    base, own = (lines_of(row, COLUMNS) for row in rows)
    assert base == [("paper", ["36.4", "10.0"]), ("ours, 1 seed", ["10.0", "-"])]
    assert own == [
        ("paper", ["38.3", "5.0"]),
        ("ours, 2 seeds", ["14.0 ± 2.8", "-"]),
        ("gain, paper", ["+1.9", "-5.0"]),
        ("gain, ours", ["+2.0", "-"]),
    ]


def test_next_to_nothing_has_no_sign_of_its_own(result):
    rows = (Row("base", "base", "small"), Row("own", "own", "small", base="base"))
    results = [result("base", 0, AP=0.0001), result("own", 0, AP=0.0)]
    assert lines_of(table_rows(rows, results, ("AP",), {})[1], ("AP",))[-1] == ("gain, ours", ["+0.0"])


def test_a_row_without_runs_says_so():
    (row,) = table_rows([Row("a", "a", "small")], [], COLUMNS, {})
    assert lines_of(row, COLUMNS) == [("ours: not run", ["-", "-"])]


def test_three_files_tell_the_same(rows, tmp_path):
    text = write_tables(
        tmp_path, title="A <title>", notes=["a <note>"], columns=COLUMNS, rows=rows, details={"plan": 1}
    )
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
    assert told["plan"] == 1


def test_the_page_escapes_and_loads_nothing(rows, tmp_path):
    write_tables(tmp_path, title="A <title>", notes=["a <note>"], columns=COLUMNS, rows=rows, details={})
    page = (tmp_path / "table.html").read_text()
    cells = []
    parser = HTMLParser()
    parser.handle_data = lambda text: cells.append(text.strip())
    parser.feed(page)
    assert "<b>a" not in page and "<note>" not in page
    assert "http" not in page and "<script" not in page
    assert {"<b>a | b</b>", "a <note>", "14.0 ± 2.8", "gain, ours", "APvt"} <= set(cells)
