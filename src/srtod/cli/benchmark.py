"""``srtod benchmark``."""


def benchmark() -> None:
    """Not written yet."""
    raise NotImplementedError
