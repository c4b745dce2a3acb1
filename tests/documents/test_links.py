"""The documents keep their own promises: no gap left to fill, no link to nothing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "document", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda path: path.name
)
def test_no_gap_and_no_dead_link(document):
    text = document.read_text(encoding="utf-8")
    assert re.findall(r"@[A-Z]+@", text) == []
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
