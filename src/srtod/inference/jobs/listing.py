"""Which of very many images to look at: folders, patterns, manifests, prefixes of object stores."""

import posixpath
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from srtod.data.folders import IMAGES, junk
from srtod.data.formats.layout import read_lines
from srtod.inference.addresses import Address, is_address
from srtod.inference.inputs import search
from srtod.support.errors import InputError, first_line
from srtod.support.progress import say

MANIFEST = ".txt"


def list_images(inputs: Iterable[str]) -> tuple[str, ...]:
    """List images: paths on this machine, and addresses such as ``s3://bucket/day1/a.jpg``.

    Args:
        inputs: files, folders, patterns; manifests (``.txt``, one path or address a line, paths relative to
            the manifest); addresses of images or of prefixes, as fsspec knows them (``s3://``).

    Returns:
        Every image once, in the order of the inputs.

    Raises:
        InputError: an input holds no images, or its store cannot be read.
    """
    return tuple(dict.fromkeys(image for given in inputs for image in _expand(given)))


@contextmanager
def local_copy(image: str) -> Generator[Path]:
    """Yield a file of this machine with the image; one that was fetched is removed again.

    Raises:
        InputError: it cannot be fetched.
    """
    if not is_address(image):
        yield Path(image)
        return
    with TemporaryDirectory() as scratch:
        if image.lower().startswith("http"):
            address = Address(image)
            path = Path(scratch) / address.name
            path.write_bytes(address.data)
            yield path
            return
        path = Path(scratch) / posixpath.basename(image)
        try:
            store, inside = _store(image)
            store.get_file(inside, str(path))
        except Exception as error:
            raise _unreachable(image, error) from error
        yield path


def _expand(given: str) -> Iterable[str]:
    if is_address(given) and not given.lower().startswith("http"):
        return _under(given)
    if given.lower().endswith(MANIFEST):
        return _manifest(Path(given))
    found = search([given])
    for note in found.notes:
        say(note)
    if not found.images:
        raise InputError(f"{given}: no images there")
    return [place.url if isinstance(place, Address) else str(place) for place in found.images]


def _manifest(path: Path) -> Iterator[str]:
    lines = list(filter(None, map(str.strip, read_lines(path))))
    if not lines:
        raise InputError(f"{path}: no images in this list; write a path or an address a line")
    for line in lines:
        if is_address(line):
            yield line
        elif not (path.parent / line).is_file():
            raise InputError(f"{path}: {line}: no such image; give paths relative to this file, or addresses")
        else:
            yield str((path.parent / line).absolute())


def _under(address: str) -> list[str]:
    try:
        store, inside = _store(address)
        found = sorted(store.find(inside))
    except Exception as error:
        raise _unreachable(address, error) from error
    below = [path for path in found if Path(path).suffix.lower() in IMAGES]
    images = [store.unstrip_protocol(path) for path in below if not junk(PurePosixPath(path).parts)]
    if len(images) < len(below):
        say(f"left out: {len(below) - len(images)} hidden files and leftovers of other programs in {address}")
    if not images:
        raise InputError(f"{address}: no images there; known endings: {', '.join(sorted(IMAGES))}")
    return images


def _store(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    return url_to_fs(address)


def _unreachable(address: str, error: Exception) -> InputError:
    return InputError(f"{address}: cannot be read: {first_line(error)}")
