"""Puts the options of a verb, as the command line has them, where a page says ``<!-- options: VERB -->``."""

import re
from typing import Any

import typer
import typer.main
from sphinx.application import Sphinx

from srtod.cli.main import app

PLACE = re.compile(r"^<!-- options: ([\w -]+) -->$", re.MULTILINE)


def setup(sphinx: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    sphinx.connect("source-read", _fill)
    return {"parallel_read_safe": True}


def _fill(_: Sphinx, name: str, source: list[str]) -> None:
    source[0] = PLACE.sub(lambda found: _tables(found[1]), source[0])


def _tables(verb: str) -> str:
    command: Any = typer.main.get_command(app)
    for word in verb.split():
        command = command.commands[word]
    usage = command.get_usage(typer.Context(command, info_name=f"srtod {verb}")).removeprefix("Usage: ")
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    return "\n".join(["```text", usage, "```", "", "| | | default |", "|---|---|---|", *rows])


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    else:
        names = [*parameter.opts, *parameter.secondary_opts]
    said = (parameter.help or "").replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {said} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or callable(value):
        return ""
    return f"`{value}`" if value != () else ""
