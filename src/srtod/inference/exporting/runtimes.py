"""What every format offers: a program written into a file, and a file opened to be run."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from srtod.support.errors import InputError, first_line, missing_extra

Run = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Images ``[B, 3, H, W]`` and sizes ``[B, 2]`` on the CPU to the outputs of a program."""


class Opened(NamedTuple):
    """An exported file.

    Attributes:
        run: computes.
        description: of the detector, as JSON.
    """

    run: Run
    description: str


def extra(module: str) -> Any:
    """Import a module of the extra ``export``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra("export", f"exported files need {module}", error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """The error of a damaged file."""
    return InputError(f"{path}: not a readable exported file: {first_line(error)}")


def without_description(path: Path) -> InputError:
    """The error of a file that something else wrote."""
    return InputError(f"{path}: was not written by srtod export, which says in the file what it finds")
