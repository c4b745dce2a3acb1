"""A table as Markdown, JSON and HTML."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from srtod.plots.page import render_page
from srtod.reproduce.table import Estimate, TableRow
from srtod.support.files import write_json, write_text

Line = tuple[str, list[str]]
"""Whose numbers, and one cell a column."""


def write_tables(
    output: Path,
    *,
    title: str,
    notes: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[TableRow],
    details: Mapping[str, Any],
) -> str:
    """Write ``table.md``, ``table.json`` and ``table.html``, each whole or not at all.

    Args:
        output: the folder.
        title: of the table.
        notes: what was reduced, on what data, where and when.
        columns: names of metrics.
        rows: in order.
        details: what the JSON tells besides.

    Returns:
        The Markdown.

    Raises:
        InputError: the folder cannot be written to.
    """
    shown = [(row.row.label, lines_of(row, columns)) for row in rows]
    text = _markdown(title, notes, columns, shown)
    write_text(output / "table.md", text)
    template = files("srtod.reproduce").joinpath("table.html.j2").read_text(encoding="utf-8")
    page = render_page(template, title=title, summary=[], notes=notes, columns=columns, rows=shown)
    write_text(output / "table.html", page)
    plain = {
        "title": title,
        "columns": list(columns),
        "notes": list(notes),
        "rows": [_plain(r) for r in rows],
    }
    write_json(output / "table.json", plain | dict(details), indent=2)
    return text


def lines_of(row: TableRow, columns: Sequence[str]) -> list[Line]:
    """Return the lines of a row, in percent: the paper's, ours, and the gains of both over the base row."""
    lines: list[Line] = []
    if row.published:
        lines.append(("paper", [_number(row.published.get(column)) for column in columns]))
    lines.append((_who(row), [_cell(row.ours.get(column)) for column in columns]))
    if row.published_gain:
        lines.append(
            ("gain, paper", [_number(row.published_gain.get(column), sign="+") for column in columns])
        )
    if row.gain:
        lines.append(("gain, ours", [_cell(row.gain.get(column), sign="+") for column in columns]))
    return lines


def _who(row: TableRow) -> str:
    count = len(row.results)
    return f"ours, {count} seed{'s' if count > 1 else ''}" if count else "ours: not run"


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}z.1f}"


def _cell(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "-"
    spread = "" if estimate.spread is None else f" ± {100 * estimate.spread:.1f}"
    return f"{100 * estimate.mean:{sign}z.1f}{spread}"


def _markdown(
    title: str, notes: Sequence[str], columns: Sequence[str], rows: Sequence[tuple[str, list[Line]]]
) -> str:
    lines = [f"# {title}", "", *(f"- {note}" for note in notes), ""]
    lines += [_cells(["row", "", *columns]), "|" + "---|" * (len(columns) + 2)]
    for label, own in rows:
        for index, (who, cells) in enumerate(own):
            lines.append(_cells([label if index == 0 else "", who, *cells]))
    return "\n".join(lines) + "\n"


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(row: TableRow) -> dict[str, Any]:
    return {
        "key": row.row.key,
        "label": row.row.label,
        "base": row.row.base,
        "recipe": row.row.recipe,
        "changes": list(row.row.changes),
        "paper": row.published or None,
        "paper_gain": row.published_gain or None,
        "ours": _estimates(row.ours),
        "gain": _estimates(row.gain),
        "runs": [result.model_dump(mode="json") for result in row.results],
    }


def _estimates(values: Mapping[str, Estimate]) -> dict[str, Any] | None:
    return {column: vars(estimate) for column, estimate in values.items()} or None
