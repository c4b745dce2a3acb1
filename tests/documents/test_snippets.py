"""Every code block of the README and the documents runs as it stands, or says why a test cannot run it."""

import re
import shutil
from unittest import mock

import pytest

from srtod.detectors.systems import SYSTEMS

from .snippets import PAGES, ROOT, Snippet, commands, run_command, run_python, snippets

LONG = {ROOT / "docs" / "export.md"}  # exports five times
RUN = [
    pytest.param(page, id=str(page.relative_to(ROOT)), marks=pytest.mark.long if page in LONG else ())
    for page in PAGES
    if any(not snippet.why_not for snippet in snippets(page))
]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", RUN)
def test_the_page_runs(page, readers_files, backbones_at_hand, tmp_path, monkeypatch):
    folder = tmp_path / "reader"
    shutil.copytree(readers_files, folder)
    blocks = [snippet for snippet in snippets(page) if not snippet.why_not]
    if _trains(blocks):
        shutil.rmtree(folder / "run")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    with mock.patch.dict(SYSTEMS):  # to which pages add systems of their own
        for snippet in blocks:
            _run(snippet, names)


def test_what_is_not_run_says_why():
    reasons = {snippet.why_not for page in PAGES for snippet in snippets(page) if snippet.why_not}
    assert all(len(reason.split()) >= 3 for reason in reasons)
    every = sum(len(snippets(page)) for page in PAGES)
    run = sum(not snippet.why_not for page in PAGES for snippet in snippets(page))
    assert run / every > 2 / 3


def _run(snippet: Snippet, names: dict[str, object]) -> None:
    if snippet.kind == "python":
        run_python(snippet, names)
        return
    for words in commands(snippet.code):
        run_command(words)


def _trains(blocks: list[Snippet]) -> bool:
    """Whether the page makes the folder ``run`` itself."""
    return any(re.search(r"srtod train .*--output run\b", block.code) for block in blocks)
