"""How often a JPEG file paints over its picture, told without decoding."""

import re
from typing import BinaryIO

MOST_SCANS = 100
"""Encoders write about ten; each costs a decoder the whole picture, and takes 40 bytes of a file."""

_PLAIN = range(0xC0, 0xC2)  # frames whose parts are painted once, if the first scan has all of them
_NEXT = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # a marker, not one that belongs to a scan's own bytes
_A_SCAN = 100  # markers that may lie between two scans: tables, colour profiles, comments
_CHUNK = 2**16


def too_many_scans(file: BinaryIO) -> bool:
    """Whether a JPEG has more than :data:`MOST_SCANS` scans; a damaged one has as many as are found.

    So has one of more markers than any encoder writes.

    Args:
        file: at its beginning; at the end it may be anywhere.
    """
    frame = parts = scans = markers = 0
    file.seek(2)
    while (marker := _next_marker(file)) is not None and marker != 0xD9:
        markers += 1
        if max(scans, markers // _A_SCAN) > MOST_SCANS:
            return True
        if marker in (0x01, 0xD8):  # these have no content
            continue
        length = int.from_bytes(file.read(2), "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, parts = marker, int.from_bytes(file.read(6)[5:])
            file.seek(max(length - 8, 0), 1)
        elif marker == 0xDA:
            scans += 1
            if int.from_bytes(file.read(1)) == parts and frame in _PLAIN:
                return False
            file.seek(max(length - 3, 0), 1)
        else:
            file.seek(max(length - 2, 0), 1)
    return False


def _next_marker(file: BinaryIO) -> int | None:
    """Go on behind the next marker; None at the end of the file."""
    while chunk := file.read(_CHUNK):
        if found := _NEXT.search(chunk):
            file.seek(found.end() - len(chunk), 1)
            return found[1][0]
        if chunk.endswith(b"\xff") and len(chunk) > 1:
            file.seek(-1, 1)
    return None
