"""Files whose decoding would take minutes are told before it."""

import os
import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from srtod.data.folders import files_like
from srtod.data.images import ImageBytes, read_image
from srtod.data.scans import too_many_scans
from srtod.support.errors import InputError
from srtod.support.files import read_json


def jpeg(**options):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data := BytesIO(), "JPEG", **options)
    return data.getvalue()


def with_scans(number):
    """A progressive JPEG whose last scan is there so many times."""
    sound = jpeg(progressive=True)
    last = sound.rindex(b"\xff\xda")
    return sound[:last] + sound[last:-2] * number + sound[-2:]


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_jpeg_of_many_scans_is_refused(in_memory, tmp_path):
    (tmp_path / "a.jpg").write_bytes(with_scans(5000))
    source = ImageBytes("a.jpg", with_scans(5000)) if in_memory else tmp_path / "a.jpg"
    with pytest.raises(InputError, match=r"a\.jpg: a JPEG of more than 100 scans"):
        read_image(source)


def test_a_jpeg_of_endless_comments_is_refused():
    assert too_many_scans(BytesIO(b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000 + jpeg()[2:]))


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        jpeg(progressive=True),
        with_scans(80),
        jpeg() + b"\xff\xda" * 1000,  # what cameras put behind the picture is not read
        jpeg(progressive=True, icc_profile=b"\xff\xda" * 50_000),
        jpeg(progressive=True)[:-500],
        b"\xff\xd8\xff",
    ],
)
def test_other_jpegs_are_not(data):
    assert not too_many_scans(BytesIO(data))


def test_a_tiff_of_millions_of_tiles_is_refused(tmp_path):
    tags = [
        (256, 4, 1, 4000),
        (257, 4, 1, 4000),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
    ]
    tags += [(322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 1, 200), (325, 4, 1, 1)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries
    (tmp_path / "a.tif").write_bytes(start.ljust(300, b"\0"))
    with pytest.raises(InputError, match=r"a\.tif: 16000000 strips or tiles of 1 x 1 pixels"):
        read_image(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_neither_listed_nor_read(tmp_path):
    for name in ("a.jpg", "annotations.json"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    assert files_like(tmp_path, "*") == []
    with pytest.raises(InputError, match=r"a\.jpg: a device or pipe"):
        read_image(tmp_path / "a.jpg")
    for name in ("annotations.json", "zero.json"):
        with pytest.raises(InputError, match="a device or pipe"):
            read_json(tmp_path / name)
