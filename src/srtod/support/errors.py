"""What goes wrong in a user's hands, told in one line."""

import difflib
from collections.abc import Iterable


class SrtodError(Exception):
    """Work that failed. The command line prints the message and ends with exit code 1."""

    exit_code = 1


class InputError(SrtodError, ValueError):
    """A bad file, image, annotation or option. The command line ends with exit code 2.

    The message is one line that names the file, the image and the annotation, what is wrong with it and
    what to do.
    """

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to ``word``, or ``""`` if none is near.

    Upper and lower case are one.
    """
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""
