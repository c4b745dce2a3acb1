"""What goes wrong in a user's hands, told in one line."""


class InputError(ValueError):
    """A bad file, image or option; the message names it, what is wrong with it and what to do."""


def first_line(error: BaseException) -> str:
    """What an error of another library says in its first line; its kind where it says nothing."""
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
