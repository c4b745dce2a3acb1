"""What goes wrong in a user's hands, told in one line."""

import difflib
import re
from collections.abc import Iterable

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What is no letter: it would move the cursor, turn the line around, or cannot be written at all."""

_PLACES = ("Exception from ", "Check '")
"""How lines begin in which OpenVINO says where in its own source an error arose."""


class SrtodError(Exception):
    """Work that failed. The command line prints the message and ends with exit code 1."""

    exit_code = 1


class InputError(SrtodError, ValueError):
    """A bad file, image, annotation or option. The command line ends with exit code 2.

    The message is one line that names the file, the image and the annotation, what is wrong with it and
    what to do.
    """

    exit_code = 2


def first_line(error: BaseException) -> str:
    """What an error of another library says in its first line; its kind where it says nothing."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(_PLACES)]
    return lines[0].strip() if lines else type(error).__name__


def shown(text: str) -> str:
    """A text from a file or a name as one harmless line: control characters are written as escapes."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to ``word``, or ``""`` if none is near.

    Upper and lower case are one.
    """
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def missing_extra(extra: str, need: str, error: ImportError) -> InputError:
    """The error of a package that could not be imported.

    Args:
        extra: of this project, which has the package; an empty text where every installation has it.
        need: what needs it, as a clause.
        error: of the import; where the package is there and broken, it is said why.
    """
    absent = isinstance(error, ModuleNotFoundError) and error.name is not None and "." not in error.name
    option = f" --extra {extra}" if extra else ""
    if absent:
        return InputError(f"{need}, but {error.name} is not installed; run 'uv sync{option}'")
    advice = f"repair it with 'uv sync --reinstall{option}'"
    if "libGL" in str(error):
        advice = (
            "OpenCV needs that library of the system: install it (Debian: apt install libgl1), or take "
            "opencv-python-headless in the place of opencv-python"
        )
    return InputError(f"{need}, but its import fails: {error}; {advice}")
