"""``srtod quickstart``."""


def quickstart() -> None:
    """Not written yet."""
    raise NotImplementedError
