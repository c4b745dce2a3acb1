import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from srtod.data import images
from srtod.data.images import image_files, image_size, read_image
from srtod.support.errors import InputError


def test_plain_image_comes_back_as_it_is(tmp_path, make_image):
    path = make_image(tmp_path / "a.png", (7, 5))
    pixels = read_image(path)
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert np.array_equal(pixels, np.asarray(Image.open(path)))


def test_content_counts_not_the_ending(tmp_path, make_image):
    png = make_image(tmp_path / "a.png")
    disguised = png.rename(tmp_path / "a.jpg")
    assert read_image(disguised).shape == (48, 64, 3)


def test_grey_is_repeated(tmp_path):
    Image.new("L", (4, 3), 77).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 77).all()


def test_one_bit_is_black_and_white(tmp_path):
    Image.new("1", (4, 3), 1).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_grey_is_scaled_linearly(tmp_path, suffix):
    values = np.array([[0, 128, 129, 32768, 65535]], dtype=np.uint16)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(values).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert read_image(path).shape == (1, 5, 3)


def test_deep_colour_is_scaled_linearly(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(_png(2, 1, depth=16, colour=2, rows=struct.pack(">x6H", 0, 32768, 65535, 257, 514, 771)))
    assert read_image(path).tolist() == [[[0, 128, 255], [1, 2, 3]]]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((3, 4), 70000, dtype=dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: damaged image: pixels of 32 bits"):
        read_image(tmp_path / "a.tif")


def test_transparent_pixels_lie_over_black(tmp_path):
    image = Image.new("RGBA", (2, 1), (200, 100, 50, 255))
    image.putpixel((1, 0), (200, 100, 50, 0))
    image.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[200, 100, 50], [0, 0, 0]]]


def test_palette_is_looked_up_and_its_transparency_kept(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert read_image(tmp_path / "opaque.png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert read_image(tmp_path / "clear.png").tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = read_image(tmp_path / "a.jpg")[4, 4].tolist()
    assert red > 245
    assert max(green, blue) < 10


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def _rotated(path, make_image):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return make_image(path, (6, 4), exif=exif)


def test_exif_orientation_is_applied(tmp_path, make_image):
    path = _rotated(tmp_path / "a.png", make_image)
    stored = np.asarray(Image.open(path))
    assert image_size(path) == (4, 6)
    for size in (None, (4, 6)):
        assert np.array_equal(read_image(path, size), np.rot90(stored, -1))


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_turned_tiff_files_have_their_displayed_size(tmp_path, compression):
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path, tiffinfo={0x0112: 6}, compression=compression)
    assert image_size(path) == (4, 6)
    for size in (None, (4, 6)):
        assert np.array_equal(read_image(path, size), np.rot90(pixels, -1))
    with pytest.raises(InputError, match=r"the image is 4 x 6 pixels, its annotations say 6 x 4"):
        read_image(path, (6, 4))


def test_stored_pixels_where_the_annotations_refer_to_them(tmp_path, make_image):
    path = _rotated(tmp_path / "a.png", make_image)
    assert np.array_equal(read_image(path, (6, 4)), np.asarray(Image.open(path)))


def test_other_size_than_annotated(tmp_path, make_image):
    path = make_image(tmp_path / "a.png", (6, 4))
    with pytest.raises(InputError, match=r"a\.png: the image is 6 x 4 pixels, its annotations say 60 x 40"):
        read_image(path, (60, 40))


def _png(width: int, height: int, *, depth: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    """A PNG file by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _truncated(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


DAMAGED = {
    "empty": (b"", "empty file"),
    "text": (b"not an image at all", "not an image, or of a kind that cannot be read"),
    "half a JPEG": (_truncated("JPEG"), "damaged image: "),
    "half a PNG": (_truncated("PNG"), "damaged image: "),
    "half a WebP": (_truncated("WEBP"), ""),
    "bare JPEG header": (_truncated("JPEG")[:20], ""),
    "zero wide": (_png(0, 5), ""),
    "bomb": (_png(60000, 60000), "million pixels (a decompression bomb?): refused"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line_that_names_the_file(tmp_path, name):
    content, message = DAMAGED[name]
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_image(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


def test_bombs_are_refused_by_our_own_limit(tmp_path, make_image, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(InputError, match="decompression bomb"):
        read_image(make_image(tmp_path / "a.png", (11, 10)))
    assert read_image(make_image(tmp_path / "b.png", (10, 10))).shape == (10, 10, 3)


@pytest.mark.parametrize("read", [read_image, image_size])
def test_no_file_and_no_image(tmp_path, read):
    with pytest.raises(InputError, match=r"none\.jpg: no such file"):
        read(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read(tmp_path)
    (tmp_path / "a.jpg").write_text("words")
    with pytest.raises(InputError, match=r"a\.jpg: not an image"):
        read(tmp_path / "a.jpg")


def test_image_files_are_sorted_and_nothing_else(tmp_path, make_image):
    for name in ("b.PNG", "a.jpg", "sub/c.tif"):
        make_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    assert [path.name for path in image_files(tmp_path)] == ["a.jpg", "b.PNG", "c.tif"]
