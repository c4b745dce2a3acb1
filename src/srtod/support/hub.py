"""Files of the Hugging Face hub, and no long wait where it cannot be reached."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.utils import get_session

from srtod.support.errors import InputError, first_line

WEIGHTS = "model.safetensors"
"""The file of a repository, or of a folder, that holds a detector."""

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


def upload(folder: Path, repository: str, *, private: bool, message: str, keep: Sequence[str]) -> str:
    """Put the files of a folder into a repository in one commit, and return the commit's address.

    Args:
        folder: what to put there.
        repository: ``owner/name``; made if it is not there.
        private: whether a new one is.
        message: of the commit.
        keep: files that stay as they are where the repository has them.

    Raises:
        InputError: the hub does not answer, or refuses.
    """
    try:
        reach()
        api = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        there = [name for name in keep if api.file_exists(repository, name)]
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, ignore_patterns=there
        )
    except Exception as error:
        raise InputError(f"{repository}: not put on the Hugging Face hub: {first_line(error)}") from error
    return commit.commit_url
