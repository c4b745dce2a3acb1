"""Files of the Hugging Face hub, and no long wait where it cannot be reached."""

from pathlib import Path

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.utils import get_session

_PATIENCE = 10.0
"""Seconds in which the hub must answer."""


def reach() -> None:
    """Ask the hub whether it is there at all; its own client would try again for a minute.

    Raises:
        Exception: it does not answer; what kind depends on the client.
    """
    get_session().head(ENDPOINT, timeout=_PATIENCE)


def downloaded(repository: str, file: str) -> Path | None:
    """The file of an earlier download, None where there is none."""
    cached = try_to_load_from_cache(repository, file)
    return Path(cached) if isinstance(cached, str) else None


def newest(repository: str, file: str) -> Path:
    """The file as it is at the hub now; without internet that of an earlier download.

    Raises:
        Exception: no such repository or file, or no answer and no earlier download.
    """
    try:
        reach()
    except Exception:
        if (cached := downloaded(repository, file)) is not None:
            return cached
        raise
    return Path(hf_hub_download(repository, file))
