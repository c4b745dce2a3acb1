"""What long work tells on standard error: lines, and a bar with the time that is left."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Progress", "counting_bar", "say"]


def counting_bar(total: int, *, shown: bool) -> Progress:
    """Return a bar for ``total`` pieces; it stays hidden for a single one."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown or total < 2,
    )


def say(text: str) -> None:
    """Show a line as it is, however long."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
