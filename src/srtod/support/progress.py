"""What long work tells on standard error: lines, and a bar with the time that is left."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from srtod.support.errors import shown

__all__ = ["Progress", "counting_bar", "say"]


def counting_bar(total: int, *, shown: bool) -> Progress:
    """Return a bar for ``total`` pieces; it stays hidden for a single one."""
    return Progress(
        _Name(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown or total < 2,
    )


class _Name(ProgressColumn):
    """What is worked on, often the name of a file, which may hold anything."""

    def render(self, task: Task) -> Text:
        return Text(shown(task.description))


def say(text: str) -> None:
    """Show a line as it is, however long; control characters in it are written as escapes."""
    Console(stderr=True, highlight=False).print(shown(text), markup=False, soft_wrap=True)
