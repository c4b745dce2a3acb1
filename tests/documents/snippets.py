"""The code blocks of the documents: found, and run as a reader would run them."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))

_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<kind>bash|python)\n(?P<code>.*?)^```", re.M | re.S
)


@dataclass(frozen=True)
class Snippet:
    """A code block of a page.

    Attributes:
        page: where it stands.
        line: its first line there.
        kind: bash or python.
        code: its text.
        why_not: why it cannot be run by a test, as the page's source says above it; empty where it is run.
    """

    page: Path
    line: int
    kind: str
    code: str
    why_not: str


def snippets(page: Path) -> list[Snippet]:
    """All blocks of bash and Python of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(
            page,
            text.count("\n", 0, block.start("code")) + 1,
            block["kind"],
            block["code"],
            block["why"] or "",
        )
        for block in _BLOCK.finditer(text)
    ]


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a block of bash, in words; comments and line continuations are read as bash does."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "&&" in words:
            end = words.index("&&")
            yield words[:end]
            words = words[end + 1 :]
        if words:
            yield words


def run_command(words: list[str], folder: Path) -> None:
    """Run one command of a reader in ``folder``; installations are taken as done.

    Raises:
        AssertionError: it fails; with what it printed.
    """
    match words:
        case ["pip", "install", *_] | ["uv", "sync", *_]:
            return
        case ["uv", "run", "srtod", *rest]:
            command = [sys.executable, "-m", "srtod.cli.main", *rest]
        case ["uv", "run", "pytest", *rest]:
            command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", *rest]
            folder = ROOT
        case _:
            raise AssertionError(f"the test does not know how to run {shlex.join(words)}")
    wide = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=wide, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"


def run_python(snippet: Snippet, names: dict[str, Any]) -> None:
    """Run a block of Python; it sees and leaves names as the blocks before it on its page did."""
    exec(compile(snippet.code, f"{snippet.page.name}:{snippet.line}", "exec"), names)
