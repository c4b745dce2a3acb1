"""Images and videos at addresses: what is there, and how addresses may be shown."""

import base64
import re
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import PurePosixPath
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from srtod.data.folders import BEGINNING, Kind, kind_of_content
from srtod.support.errors import InputError, first_line

WAIT = 10.0
"""Seconds until a server that says nothing is given up."""
MOST_BYTES = 2**30
"""Larger files are no single images."""
_GONE = (404, 410)
_PASSWORD = re.compile(r"//[^/]*@")  # passwords may hold an @ of their own
_QUERY = re.compile(r"[?#].*")


@dataclass(frozen=True)
class Address:
    """An image at an address, fetched when it is read."""

    url: str

    @property
    def data(self) -> bytes:
        """Its bytes.

        Raises:
            InputError: they cannot be fetched, or are too many.
        """
        try:
            with _answer(self.url) as answer:
                data = answer.read(MOST_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise InputError(f"{self}: cannot be read: {first_line(error)}") from error
        if len(data) > MOST_BYTES:
            raise InputError(f"{self}: more than {MOST_BYTES >> 20} MiB; download it, and name the file")
        return data

    @property
    def name(self) -> str:
        """Its file name."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name or "image"

    def __str__(self) -> str:
        return without_secrets(self.url)


def is_address(text: str) -> bool:
    """Tell an address, such as ``https://host/a.jpg``, from a path."""
    return "://" in text


def without_secrets(address: str, *, hidden: str = "//***@") -> str:
    """An address as it may be shown: without user name, password and query."""
    return _QUERY.sub("", _PASSWORD.sub(hidden, address))


def kind_at(url: str) -> tuple[Kind | None, bool]:
    """Tell what is at an address of HTTP by its first bytes, and whether it is a file, which ends by itself.

    Raises:
        InputError: the server says that there is nothing.
    """
    try:
        with _answer(url) as answer:
            return kind_of_content(answer.read(BEGINNING)), "Content-Length" in answer.headers
    except HTTPError as error:
        if error.code in _GONE:
            raise InputError(
                f"{without_secrets(url)}: nothing is there: {error.code} {error.reason}"
            ) from error
    except (OSError, HTTPException, ValueError):
        pass  # whoever opens it says what is wrong
    return None, False


def _answer(url: str) -> Any:
    """Ask a server; a name and a password in the address go where servers expect them."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "srtod"}
    if at:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    return urlopen(Request(parts._replace(netloc=host, fragment="").geturl(), headers=headers), timeout=WAIT)
