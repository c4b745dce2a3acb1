"""Several training processes: what one does for all of them, and how all end when one cannot go on."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list, gather_object

from srtod.support.claims import claimed
from srtod.support.errors import SrtodError

T = TypeVar("T")
PATIENCE = timedelta(hours=6)
"""How long processes wait for one that reads, checks or measures for all of them."""

Processes = Accelerator | PartialState
"""What knows how many processes there are, and which one this is."""


def on_main(processes: Processes, work: Callable[[], T]) -> T:
    """Do something in the main process only and return its result in all; where it fails, all end.

    Raises:
        SrtodError: as :func:`end_together`.
    """
    result: T | None = None
    with together(processes):
        if processes.is_main_process:
            result = work()
    return cast("T", broadcast_object_list([result])[0])


@contextmanager
def together(processes: Processes) -> Generator[None]:
    """Leave the block in all processes, or end in all: where one fails, the others do not wait for it.

    Raises:
        SrtodError: as :func:`end_together`.
    """
    error: SrtodError | None = None
    try:
        yield
    except SrtodError as caught:
        error = caught
    end_together(processes, error)


@contextmanager
def claimed_together(processes: Processes, output: Path) -> Generator[None]:
    """Keep an output for these processes inside the block.

    Raises:
        SrtodError: as :func:`end_together`: others have claimed it.
    """
    with ExitStack() as stack:
        with together(processes):
            if processes.is_main_process:
                stack.enter_context(claimed(output))
        yield


def end_together(processes: Processes, error: SrtodError | None) -> None:
    """End all processes if one has an error, so that it is told once; all of them take part.

    Raises:
        SrtodError: in the main process, the first error of any; the others leave quietly with its exit code.
    """
    errors = [error] if processes.num_processes == 1 else gather_object([error])
    first = next((one for one in errors if one is not None), None)
    if first is not None:
        raise told_once(processes, first)


def told_once(processes: Processes, error: SrtodError) -> SrtodError | SystemExit:
    """Return how a process ends with an error that all have: the main one tells it, others say nothing."""
    return error if processes.is_main_process else SystemExit(error.exit_code)


def gathered(processes: Processes, value: Any) -> list[Any]:
    """Return the values of all processes in the main one, nothing in the others."""
    if processes.num_processes == 1:
        return [value]
    values = [None] * processes.num_processes if processes.is_main_process else None
    torch.distributed.gather_object(value, values)
    return values or []
