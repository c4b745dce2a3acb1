"""``srtod explain``."""


def explain() -> None:
    """Not written yet."""
    raise NotImplementedError
