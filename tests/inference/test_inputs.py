import http.server
import os
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srtod.data import AnnotatedSet, ImageRecord
from srtod.data.pixels import Window
from srtod.inference import collect_images, with_annotations
from srtod.inference.inputs import GivenImage, image_list, images_of, pixels_of, search
from srtod.support.errors import InputError


def record(image_id, file_name):
    return ImageRecord(
        image_id=image_id,
        file_name=file_name,
        path=Path(file_name),
        width=64,
        height=48,
        boxes=np.zeros((0, 4)),
        labels=np.zeros(0, np.int64),
        ignore=np.zeros(0, bool),
        annotation_ids=np.zeros(0, np.int64),
    )


def annotated(folder, *records):
    return AnnotatedSet(folder / "gt.json", "coco", "", ("drone",), tuple(records))


def names(images):
    return [image.file_name for image in images]


def test_folders_are_searched_in_natural_order(tmp_path, write_image):
    for name in ("10.png", "2.png", "sub/1.PNG", "B.jpg", "a.jpg"):
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    images = collect_images([tmp_path])
    assert names(images) == ["2.png", "10.png", "a.jpg", "B.jpg", "sub/1.PNG"]
    assert [image.image_id for image in images] == [1, 2, 3, 4, 5]


def test_one_folder_needs_no_list(tmp_path, write_image):
    write_image(tmp_path / "a.png")
    assert collect_images(tmp_path) == collect_images(str(tmp_path)) == collect_images([tmp_path])


def test_the_same_name_in_two_folders_stays_two_images(tmp_path, write_image):
    for folder in ("day", "night"):
        write_image(tmp_path / folder / "a.jpg")
    assert names(collect_images([tmp_path / "day", tmp_path / "night"])) == ["day/a.jpg", "night/a.jpg"]
    assert names(collect_images([tmp_path / "night"])) == ["a.jpg"]


def test_an_image_named_twice_is_taken_once(tmp_path, write_image, monkeypatch):
    path = write_image(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names(collect_images([path, "a.jpg", tmp_path, str(tmp_path / "*.jpg")])) == ["a.jpg"]


def test_a_list_in_python_has_a_result_for_each_item(tmp_path, write_image):
    a, b = (write_image(tmp_path / name) for name in ("a.png", "b.png"))
    images = images_of([a, str(b), a.parent / "." / ".." / a.parent.name / a.name])
    assert [(image.file_name, image.image_id) for image in images] == [
        ("a.png", 1),
        ("b.png", 2),
        ("a.png", 3),
    ]


def test_videos_are_not_left_out_in_silence(tmp_path, write_image):
    (video := tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(InputError, match=r"a\.mp4 is a video"):
        images_of(video)
    with pytest.warns(UserWarning, match=r"left out: 1 videos.*a\.mp4"):
        assert len(images_of([video, write_image(tmp_path / "b.png")])) == 1


def test_values_of_more_than_8_bits_in_memory_are_stretched_as_in_files(tmp_path):
    values = np.linspace(20_000, 22_000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    for stretch in ("auto", "full", (20_000.0, 22_000.0)):
        [file], [given] = images_of(tmp_path / "deep.png"), images_of(Image.open(tmp_path / "deep.png"))
        assert torch.equal(file.read(stretch), given.read(stretch))
        assert np.array_equal(
            pixels_of(given.read(stretch)), given.open(stretch).crops([Window(0, 0, 64, 64)])[0]
        )
    [measured] = images_of(Image.fromarray(values.astype(np.float32)))
    with pytest.raises(InputError, match="image 1: pixels of float32"):
        measured.read()
    assert measured.read("percentiles").max() == 255


def test_an_image_is_turned_as_its_annotations_speak_of_it(tmp_path):
    turned = Image.new("RGB", (30, 20))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "a.jpg", exif=turned.getexif())
    for width, height in ((30, 20), (20, 30)):
        known = replace(record(1, "a.jpg"), width=width, height=height)
        [image] = with_annotations(collect_images(tmp_path / "a.jpg"), annotated(tmp_path, known))
        assert image.read().shape == (3, height, width)
        assert image.open().size == (width, height)


def test_images_that_only_have_the_names_of_others_are_told(tmp_path, write_image):
    own, other = (write_image(tmp_path / folder / "a.png") for folder in ("train", "val"))
    known = annotated(tmp_path, replace(record(1, "a.png"), path=own))
    with pytest.warns(UserWarning, match="1 of the 1 images are other files"):
        with_annotations(collect_images(other), known)


def test_patterns_reach_sub_folders(tmp_path, write_image):
    for name in ("x/1.png", "x/y/2.png", "3.jpg"):
        write_image(tmp_path / name)
    assert names(collect_images([str(tmp_path / "**" / "*.png")])) == ["1.png", "y/2.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path, write_image):
    write_image(tmp_path / "a1.png")
    odd = write_image(tmp_path / "a[1].png")
    assert names(collect_images([odd])) == ["a[1].png"]


def test_brackets_of_real_folders_are_no_patterns(tmp_path, write_image):
    folder = tmp_path / "flight [2024] (copy)"
    for name in ("a [1].png", "b.png"):
        write_image(folder / name)
    assert names(collect_images([str(folder / "*.png")])) == ["a [1].png", "b.png"]
    assert names(collect_images([str(tmp_path / "*" / "a [1].png")])) == ["a [1].png"]
    assert names(collect_images([folder])) == ["a [1].png", "b.png"]


def test_folders_that_match_a_pattern_are_searched(tmp_path, write_image):
    for name in ("day1/a.png", "day2/b.png", "night/c.png"):
        write_image(tmp_path / name)
    assert names(collect_images([str(tmp_path / "day*")])) == ["day1/a.png", "day2/b.png"]


def test_the_content_says_what_a_named_file_is(tmp_path, write_image):
    image = write_image(tmp_path / "a.png").rename(tmp_path / "a.mp4")
    clip = tmp_path / "clip.jpg"
    clip.write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    found = search([image, clip])
    assert found.images == [image] and list(found.videos) == [str(clip)]


def test_what_is_left_out_is_said(tmp_path, write_image):
    write_image(tmp_path / "a.png")
    for name in ("b.HEIC", "._a.png"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"left out: 1 x .*"):
        assert names(collect_images([tmp_path])) == ["a.png"]
    assert sorted(search([tmp_path]).notes) == [
        "left out: 1 x HEIC image: b.HEIC; save them as JPEG or PNG",
        "left out: 1 x leftover of another program: ._a.png",
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"no images or videos there; left out: .*HEIC"):
        search([tmp_path])


@pytest.fixture
def web(tmp_path, write_image):
    """An address under which the files of a folder are served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "www"
    write_image(folder / "a.png")
    (folder / "shot").write_bytes((folder / "a.png").read_bytes())
    (folder / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(99))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_addresses_of_images_are_images(web, tmp_path):
    found = search(
        [f"{web}/a.png?token=secret", f"{web}/shot", f"{web}/clip.mp4", tmp_path / "www" / "a.png"]
    )
    images = image_list(found.images)
    assert [image.file_name for image in images] == ["a-2.png", "shot", "a.png"]
    assert all((image.read() == images[2].read()).all() for image in images)
    assert "secret" not in str(images[0].path)
    assert found.videos == {f"{web}/clip.mp4": False}  # a file, which ends by itself


def test_addresses_with_nothing_are_one_line(web):
    with pytest.raises(InputError) as error:
        search([f"{web}/none.jpg?token=secret"])
    assert str(error.value) == f"{web}/none.jpg: nothing is there: 404 File not found"
    with pytest.raises(InputError, match=r"s3://bucket/a\.png: no address of an image .* add --engine ray"):
        search(["s3://bucket/a.png"])


ARRAYS = {
    "grey": (lambda pixels: pixels[:, :, 0], 0),
    "one channel": (lambda pixels: pixels[:, :, :1], 0),
    "opaque": (lambda pixels: np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]), [0, 1, 2]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_with_other_channels_are_images(name):
    made, channels = ARRAYS[name]
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    read = GivenImage.of(made(pixels)).read().permute(1, 2, 0).numpy()
    assert (read.squeeze() == (pixels if channels == [0, 1, 2] else pixels[:, :, :1])).all()


@pytest.mark.parametrize("shape", [(6, 8, 2), (6, 8, 5), (2, 6, 8, 3), (6,), (0, 8, 3)])
def test_arrays_of_no_image_are_refused(shape):
    with pytest.raises(InputError, match="image 1: an array of uint8"):
        GivenImage.of(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("text", "message"), [("none.jpg", "no such file"), ("*.png", "no such file"), ("", "no images")]
)
def test_what_is_not_there_is_an_input_error(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        collect_images([tmp_path / text])
    with pytest.raises(InputError, match="no images were given"):
        collect_images([])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_no_result_can_hold_are_refused(tmp_path, write_image):
    path = write_image(tmp_path / "a.jpg")
    path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    with pytest.raises(InputError, match=r"^[ -~]*caf\\udce9.jpg: the name is not UTF-8; rename"):
        collect_images([tmp_path])


def test_annotations_give_ids_and_names(tmp_path, write_image):
    for name in ("set/images/val/b.jpg", "set/images/val/a.jpg"):
        write_image(tmp_path / name)
    found = with_annotations(
        collect_images([tmp_path / "set"]), annotated(tmp_path, record(70, "val/a.jpg"), record("x", "b.jpg"))
    )
    assert [(image.image_id, image.file_name) for image in found] == [(70, "val/a.jpg"), ("x", "b.jpg")]
    assert found[0].record is not None


def test_the_longest_matching_name_wins(tmp_path, write_image):
    for name in ("day/a.jpg", "night/a.jpg"):
        write_image(tmp_path / name)
    records = (record(1, "night/a.jpg"), record(2, "a.jpg"))
    found = with_annotations(collect_images([tmp_path]), annotated(tmp_path, *records))
    assert [image.image_id for image in found] == [2, 1]


def test_images_without_annotations_are_refused(tmp_path, write_image):
    write_image(tmp_path / "c.jpg")
    with pytest.raises(InputError, match=r"c\.jpg: not among the 1 images of .*gt\.json"):
        with_annotations(collect_images([tmp_path]), annotated(tmp_path, record(1, "a.jpg")))


def test_two_images_for_one_record_are_refused(tmp_path, write_image):
    for name in ("day/a.jpg", "night/a.jpg"):
        write_image(tmp_path / name)
    with pytest.raises(InputError, match="is image 1 of"):
        with_annotations(collect_images([tmp_path]), annotated(tmp_path, record(1, "a.jpg")))
