"""``srtod predict``."""


def predict() -> None:
    """Not written yet."""
    raise NotImplementedError
