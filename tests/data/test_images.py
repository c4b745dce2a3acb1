import io
import re
import struct
import zlib

import numpy as np
import pytest
import rasterio
from PIL import Image

from srtod.data import images
from srtod.data.images import ImageBytes, depth_note, image_size, read_image
from srtod.data.large import LargeImage
from srtod.data.pixels import Window
from srtod.support.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ALL = Window(0, 0, 160, 120)


def geotiff(path, pixels, **options):
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, **shape, **options) as dataset:
        dataset.write(pixels)
    return path


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
    with pytest.raises(InputError, match=rf"a\.tif: pixels of {dtype.__name__}, whose range is not known"):
        read_image(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif", stretch=(0, 140_000)) == 128).all()


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
    assert np.array_equal(read_image(path, (6, 4)), pixels)
    with pytest.raises(InputError, match=r"the image is 4 x 6 pixels, its annotations say 6 x 5"):
        read_image(path, (6, 5))


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


def raw_thermal(kind=np.uint16):
    """A frame of a thermal camera: of 65,536 values it uses a few hundred."""
    values = np.random.default_rng(0).normal(51700, 60, (120, 160)).round()
    values[40:46, 60:66] += 400
    return values.astype(kind)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "colours.png"])
def test_a_narrow_range_of_16_bits_is_stretched_and_said(tmp_path, name):
    path = tmp_path / name
    if name == "colours.png":
        rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in raw_thermal())
        path.write_bytes(_png(160, 120, depth=16, colour=2, rows=rows))
    else:
        Image.fromarray(raw_thermal()).save(path)
    pixels = read_image(path)
    assert len(np.unique(pixels)) > 150
    assert pixels[43, 63, 0] > pixels[10, 10, 0] + 100
    assert re.search(
        r"its values, 51\d\d\d to 52\d\d\d of 0 to 65535, would be \d of 256 levels", depth_note(path)
    )
    assert len(np.unique(read_image(path, stretch="full"))) < 10
    assert np.array_equal(
        read_image(path, stretch=(51_000, 53_000)), LargeImage(path, (51_000, 53_000)).crops([ALL])[0]
    )


def test_wide_ranges_are_not_stretched(tmp_path):
    Image.fromarray(np.arange(65536, dtype=np.uint16).reshape(256, 256)).save(tmp_path / "a.png")
    Image.new("L", (9, 9), 5).save(tmp_path / "b.png")
    assert depth_note(tmp_path / "a.png") == depth_note(tmp_path / "b.png") == ""


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32, np.uint32])
def test_any_number_is_read_in_the_range_of_the_image_where_that_is_asked_for(tmp_path, kind):
    values = np.linspace(0, 30_000, 256).reshape(16, 16).astype(kind)
    if np.dtype(kind).kind == "f":
        values[0, 0] = np.nan
    path = geotiff(tmp_path / "a.tif", values[None])
    with pytest.raises(InputError, match="bits"):
        read_image(path)
    pixels = read_image(path, stretch="percentiles")
    assert pixels[-1, -1, 0] == 255 and pixels[0, 0, 0] == 0 and len(np.unique(pixels)) > 200


BANDS = {
    "five bands of 16 bits": (5, np.uint16, {}),
    "tiles of 16 bits": (
        3,
        np.uint16,
        {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    ),
    "near infrared beside colours": (4, np.uint8, {"photometric": "RGB", "ALPHA": "NO"}),
    "four bands without names": (4, np.uint8, {"photometric": "MINISBLACK"}),
    "opaque": (4, np.uint8, {"photometric": "RGB", "ALPHA": "YES"}),
    "ZSTD": (3, np.uint8, {"photometric": "RGB", "compress": "zstd"}),
    "LERC": (3, np.uint8, {"photometric": "RGB", "compress": "lerc"}),
    "ten bands of 16 bits": (10, np.uint16, {}),
}


@pytest.mark.parametrize("name", BANDS)
def test_small_files_are_read_with_the_abilities_of_large_ones(tmp_path, name):
    count, kind, options = BANDS[name]
    levels = (np.iinfo(kind).max * np.linspace(0.2, 1, count)[::-1]).astype(kind)
    bands = np.stack([np.full((40, 50), level, kind) for level in levels])
    bands[:, 7, 9] = 0 if name != "opaque" else np.iinfo(kind).max
    path = geotiff(tmp_path / "a.tif", bands, **options)
    if name == "opaque":
        bands[3] = 255
        path = geotiff(tmp_path / "a.tif", bands, **options)
    pixels = read_image(path)
    expected = levels[:3] / (257 if kind == np.uint16 else 1)
    assert pixels[0, 0].tolist() == np.rint(expected).tolist()
    assert np.array_equal(pixels, LargeImage(path).crops([Window(0, 0, 50, 40)])[0])


def test_cmyk_tiff_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif")[4, 4].tolist() == [255, 0, 0]


def test_tiff_files_in_memory_are_read_alike(tmp_path):
    path = geotiff(tmp_path / "a.tif", np.full((5, 4, 6), 1000, np.uint16))
    assert np.array_equal(read_image(ImageBytes("a.tif", path.read_bytes())), read_image(path))


UNREAD = {
    "a.HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC image, which is not read; save it as JPEG or PNG"),
    "disguised.jpg": (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC image, which is not read"),
    "a.jxl": (b"\xff\x0a" + bytes(99), "a image of another kind, which is not read"),
    "a.jpg": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "a pointer of Git LFS, not the image itself; fetch it with 'git lfs pull'",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_kinds_that_are_not_read_are_named(tmp_path, name):
    content, message = UNREAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / name)
    assert message in str(error.value)


def test_raw_photographs_are_not_taken_for_their_previews(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tif", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InputError, match="a raw photograph, which is not read; develop it"):
        read_image(tmp_path / "a.tif")
