"""Large images, read in bands: the same pixels as images that are read whole."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

from srtod.data import images, large
from srtod.data.images import open_pixels, read_image
from srtod.data.large import LargeImage
from srtod.data.pixels import LoadedPixels, Window
from srtod.support.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def smooth(width=90, height=70, kind=np.uint8):
    """Colours that change slowly, so that JPEG hardly changes them."""
    y, x = np.mgrid[:height, :width]
    values = np.stack([x * 2, y * 3, x + y], axis=2)
    return (values * (257 if kind == np.uint16 else 1)).astype(kind)


def save(path, **options):
    Image.fromarray(smooth()).save(path, **options)
    return path


def geotiff(path, pixels, **options):
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, **shape, **options) as dataset:
        dataset.write(pixels)
    return path


def read_all(image, step=32, overlap=8):
    """The whole image, put together from bands that overlap."""
    height = image.size[1]
    spans = [(max(0, top - overlap), min(top + step, height)) for top in range(0, height, step)]
    rows = [
        band[max(0, overlap if top else 0) :]
        for band, (top, _) in zip(image.bands(spans), spans, strict=True)
    ]
    return np.concatenate(rows)


def differ(first, second):
    """The largest difference; decoders of JPEG differ in their rounding."""
    assert first.shape == second.shape
    return np.abs(first.astype(int) - second).max()


KINDS = {
    "strips": lambda path: save(path.with_suffix(".tif")),
    "compressed strips": lambda path: save(path.with_suffix(".tif"), compression="tiff_deflate"),
    "PNG": lambda path: save(path.with_suffix(".png")),
    "JPEG": lambda path: save(path.with_suffix(".jpg"), quality=95),
    "tiles": lambda path: geotiff(
        path.with_suffix(".tif"), smooth().transpose(2, 0, 1), tiled=True, blockxsize=16, blockysize=32
    ),
    "planes": lambda path: geotiff(path.with_suffix(".tif"), smooth().transpose(2, 0, 1), interleave="band"),
}


@pytest.mark.parametrize("rows", [256, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_bands_are_the_image(tmp_path, monkeypatch, kind, rows):
    monkeypatch.setattr(large, "_ROWS", rows)
    path = KINDS[kind](tmp_path / "a")
    image = LargeImage(path)
    assert image.size == (90, 70)
    assert differ(read_all(image), read_image(path)) <= 4 * (kind == "JPEG")


@pytest.mark.parametrize("kind", ["tiles", "JPEG"])
def test_crops_come_in_the_order_they_were_asked_for(tmp_path, kind):
    path = KINDS[kind](tmp_path / "a")
    windows = [Window(3, 40, 20, 60), Window(50, 2, 90, 11), Window(0, 69, 1, 70)]
    expected = LoadedPixels(read_image(path)).crops(windows)
    for own, other in zip(LargeImage(path).crops(windows), expected, strict=True):
        assert differ(own, other) <= 4 * (kind == "JPEG")


@pytest.mark.parametrize("longest", [90, 45, 40, 10])
def test_the_shrunk_copy_is_made_while_rows_go_by(tmp_path, monkeypatch, longest):
    path = KINDS["strips"](tmp_path / "a")
    expected, factor = LoadedPixels(read_image(path)).shrunk(longest)
    monkeypatch.setattr(large, "OVERVIEW", longest)
    for read in (False, True):
        image = LargeImage(path)
        if read:
            read_all(image)
            monkeypatch.setattr(LargeImage, "bands", lambda *_: pytest.fail("read again"))
        shrunk, own = image.shrunk(longest)
        assert own == factor and (shrunk == expected).all()


def test_a_smaller_copy_is_made_of_the_shrunk_one(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "OVERVIEW", 45)
    shrunk, factor = LargeImage(KINDS["strips"](tmp_path / "a")).shrunk(20)
    assert factor == 6 and shrunk.shape == (12, 15, 3)


def gray(values, path):
    return geotiff(path, values[None])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_gray_is_scaled_and_repeated_as_ever(tmp_path, kind):
    values = np.linspace(0, np.iinfo(kind).max, 60).astype(kind).reshape(6, 10)
    path = gray(values, tmp_path / "a.tif")
    assert (read_all(LargeImage(path)) == read_image(path)).all()


def test_deep_colours_keep_their_high_byte(tmp_path):
    path = geotiff(tmp_path / "a.tif", smooth(kind=np.uint16).transpose(2, 0, 1), photometric="RGB")
    assert (read_all(LargeImage(path)) == smooth()).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_modes_are_converted_as_ever(tmp_path, mode):
    image = Image.fromarray(smooth()).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(smooth()[:, :, 0]))
    image.save(tmp_path / "a.tif")
    own, usual = read_all(LargeImage(tmp_path / "a.tif")), read_image(tmp_path / "a.tif")
    assert differ(own, usual) <= 1


def test_white_is_zero_where_the_file_says_so(tmp_path):
    pixels = smooth()[None, :, :, 0]
    path = geotiff(tmp_path / "a.tif", pixels, photometric="MINISWHITE")
    assert (read_all(LargeImage(path)) == read_image(path)).all()


def test_of_many_bands_those_that_are_named_are_taken(tmp_path):
    pixels = np.stack([np.full((8, 9), value, np.uint8) for value in (10, 20, 30, 40, 50)])
    path = geotiff(tmp_path / "a.tif", pixels)
    assert read_all(LargeImage(path))[0, 0].tolist() == [10, 20, 30]
    with rasterio.open(path, "r+") as dataset:
        names = ("blue", "green", "undefined", "red", "undefined")
        dataset.colorinterp = [ColorInterp[name] for name in names]
    assert read_all(LargeImage(path))[0, 0].tolist() == [40, 20, 10]


def test_what_cannot_be_read_is_one_line(tmp_path):
    save(tmp_path / "a.jpg", quality=95)
    cases = {
        "cut.jpg": (tmp_path / "a.jpg").read_bytes()[:1500],
        "text.tif": b"no image",
        "list.vrt": b"<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>",
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            read_all(LargeImage(path))
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"none\.tif"):
        LargeImage(tmp_path / "none.tif")


@pytest.mark.parametrize("content", [b"II*\0junkjunkjunk", b"II*\0" + bytes(4) + b"nothing of the kind"])
def test_an_error_names_the_file_once(content, tmp_path):
    (tmp_path / "cut.tif").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "cut.tif")
    assert str(error.value).count("cut.tif") == 1


def test_what_is_not_done_is_said(tmp_path, monkeypatch):
    path = geotiff(tmp_path / "f.tif", np.zeros((1, 5, 5), np.float32))
    with pytest.raises(InputError, match="pixels of float32, whose range is not known"):
        read_all(LargeImage(path))
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "turned.jpg", exif=exif)
    with pytest.raises(InputError, match=r"turned\.jpg: orientation 6 turns the image"):
        LargeImage(tmp_path / "turned.jpg")
    monkeypatch.setattr(large, "MOST_PIXELS", 100)
    with pytest.raises(InputError, match="90 x 70 pixels"):
        LargeImage(save(tmp_path / "big.png"))


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("big", ["NO", "YES"])
def test_turned_tiff_files_are_refused(tmp_path, order, big):
    """The tag is put in by hand, in the place of another: rasterio does not write it."""
    pixels = np.zeros((1, 5, 6), np.uint8)
    path = geotiff(tmp_path / "a.tif", pixels, ENDIANNESS=order, BIGTIFF=big)
    assert LargeImage(path).size == (6, 5)
    code = "<" if order == "LITTLE" else ">"
    entry = "HHQHHHH" if big == "YES" else "HHIHH"  # tag, kind, count, and the value with what fills it
    rest = [0] * (len(entry) - 4)
    planar = struct.pack(code + entry, 284, 3, 1, 1, *rest)
    content = path.read_bytes()
    assert content.count(planar) == 1
    path.write_bytes(content.replace(planar, struct.pack(code + entry, 274, 3, 1, 6, *rest)))
    with pytest.raises(InputError, match=r"a\.tif: orientation 6 turns the image"):
        LargeImage(path)


def test_images_of_many_pixels_are_opened_in_bands(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png")
    assert isinstance(open_pixels(path), LoadedPixels)
    monkeypatch.setattr(images, "MAX_PIXELS", 90 * 70 - 1)
    assert isinstance(open_pixels(path), LargeImage)


def test_threads_do_not_change_what_others_are_warned_of(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr("warnings.catch_warnings", lambda *_, **__: 1 // 0)
        read_image(path)
        read_all(LargeImage(path))


def test_images_of_many_pixels_give_no_warning(tmp_path):
    path = save(tmp_path / "a.png")
    script = (
        "import sys; from PIL import Image; Image.MAX_IMAGE_PIXELS = 90 * 70 - 1;"
        "from srtod.data.images import read_image; read_image(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(path)], check=True)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(InputError, match=r"rasterio is not installed; run 'uv sync'"):
        LargeImage(save(tmp_path / "a.png"))
