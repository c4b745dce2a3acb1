"""The code blocks of the documents: found, and run as a reader would run them."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from srtod.cli.main import main
from srtod_runtime import cli

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))

_NOT_RUN = r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?"
_BLOCK = re.compile(_NOT_RUN + r"^```(?P<kind>bash|python)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A code block of a page.

    Attributes:
        page: where it stands.
        line: its first line there.
        kind: bash or python.
        code: its text.
        why_not: why a test cannot run it, as the page's source says above it; empty where one does.
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
            page=page,
            line=text.count("\n", 0, block.start("code")) + 1,
            kind=block["kind"],
            code=block["code"],
            why_not=block["why"] or "",
        )
        for block in _BLOCK.finditer(text)
    ]


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a block of bash in words, without comments."""
    for line in code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run_command(words: list[str]) -> None:
    """Run one command of a reader here; installing is taken as done.

    Raises:
        AssertionError: it fails, or nobody knows how to run it.
    """
    match words:
        case ["pip", "install", *_] | ["uv", "sync", *_]:
            return
        case ["uv", "run", "srtod", "serve", *options]:
            _run_server(options)
        case ["uv", "run", "srtod", *rest]:
            _run_here(main, "srtod", rest)
        case ["srtod-runtime", *rest]:
            _run_here(cli.main, "srtod-runtime", rest)
        case _:
            raise AssertionError(f"this test does not know how to run {shlex.join(words)}")


def run_python(snippet: Snippet, names: dict[str, Any]) -> None:
    """Run a block of Python; it sees and leaves names as the blocks before it on its page did."""
    exec(compile(snippet.code, f"{snippet.page.name}:{snippet.line}", "exec"), names)


def _run_here(main: Callable[[], None], program: str, words: list[str]) -> None:
    """In this process, since importing torch anew for each command would take most of the time."""
    with mock.patch.object(sys, "argv", [program, *words]), pytest.raises(SystemExit) as ended:
        main()
        sys.exit(0)
    assert ended.value.code in (0, None), f"{program} {shlex.join(words)}: exit code {ended.value.code}"


def _run_server(options: list[str]) -> None:
    """Start the server, ask it one thing, and stop it as Ctrl-C does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "srtod.cli.main", "serve", "--port", str(port), *options]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/about", server)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def _wait_for(address: str, server: subprocess.Popen[str]) -> None:
    for _ in range(600):
        assert server.poll() is None, server.stderr.read() if server.stderr else "the server ended"
        try:
            with urlopen(address, timeout=5) as answer:
                assert answer.status == 200
                return
        except URLError:
            time.sleep(0.2)
    raise AssertionError(f"{address} does not answer")
