"""``srtod evaluate``."""


def evaluate() -> None:
    """Not written yet."""
    raise NotImplementedError
