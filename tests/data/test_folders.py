import os
import sys

import pytest

from srtod.data.folders import OWN, SYSTEM, files_like, image_files, list_folder
from srtod.support.errors import InputError

HEIC = b"\0\0\0\x18ftypheic" + bytes(99)


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def names(paths):
    return [path.name for path in paths]


def test_image_files_are_sorted_and_nothing_else(tmp_path, make_image):
    for name in ("b.PNG", "a.jpg", "sub/c.tif", "d.jfif"):
        make_image(tmp_path / name, **({"format": "JPEG"} if name == "d.jfif" else {}))
    put(tmp_path / "notes.txt")
    assert names(image_files(tmp_path)) == ["a.jpg", "b.PNG", "d.jfif", "c.tif"]


LEFTOVERS = (
    "._a.jpg",
    "._clip.mp4",
    "__MACOSX/._a.jpg",
    "__MACOSX/a.jpg",
    ".ipynb_checkpoints/a-checkpoint.jpg",
    "sub/.ipynb_checkpoints/a-checkpoint.jpg",
    "@eaDir/a.jpg",
    "Thumbnails/a.jpg",
)


def test_what_other_programs_left_is_left_out_and_counted(tmp_path):
    for name in (*LEFTOVERS, "a.jpg", "sub/b.jpg", "clip.mp4", "Thumbs.db", ".DS_Store"):
        put(tmp_path / name)
    listing = list_folder(tmp_path)
    assert names(listing.images) == ["a.jpg", "b.jpg"]
    assert names(listing.videos) == ["clip.mp4"]
    assert {reason: len(files) for reason, files in listing.left_out.items()} == {SYSTEM: len(LEFTOVERS)}


def test_kinds_that_are_not_read_are_named(tmp_path):
    for name in ("f.HEIC", "g.dng", "h.NEF", "DJI_1.LRF", "a.jpg"):
        put(tmp_path / name)
    put(tmp_path / "without an ending", HEIC)
    listing = list_folder(tmp_path)
    assert names(listing.images) == ["a.jpg", "without an ending"]
    assert listing.notes() == [
        "left out: 1 x preview of a camera: DJI_1.LRF",
        "left out: 1 x HEIC image: f.HEIC; save them as JPEG or PNG",
        "left out: 2 x raw photograph: g.dng, h.NEF; develop them to JPEG, PNG or TIFF",
    ]


def test_results_of_srtod_are_no_inputs_unless_they_are_named(tmp_path):
    for name in ("a.jpg", "found/job.json", "found/pictures/a.png", "found/clip.mp4", "maps/maps.npz"):
        put(tmp_path / name)
    put(tmp_path / "maps/explain.png")
    listing = list_folder(tmp_path)
    assert names(listing.images) == ["a.jpg"] and not listing.videos
    assert names(listing.left_out[OWN]) == ["clip.mp4", "a.png", "explain.png"]
    assert names(image_files(tmp_path / "found")) == ["a.png"]


def test_files_of_unknown_endings_are_known_by_how_they_begin(tmp_path, make_image):
    make_image(tmp_path / "a.png").rename(tmp_path / "IMG_0001")
    put(tmp_path / "clip.dat", b"\0\0\0\x18ftypisom" + bytes(99))
    put(tmp_path / "other.dat", b"something else")
    listing = list_folder(tmp_path)
    assert names(listing.images) == ["IMG_0001"] and names(listing.videos) == ["clip.dat"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_linked_folders_are_followed_once(tmp_path):
    put(tmp_path / "elsewhere/a.jpg")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "day").symlink_to(tmp_path / "elsewhere")
    (folder / "day again").symlink_to(tmp_path / "elsewhere")
    (folder / "itself").symlink_to(folder)
    (folder / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    listing = list_folder(folder)
    assert names(listing.images) == ["a.jpg"]
    assert listing.notes() == ["left out: 1 x broken link: gone.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_folders_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(InputError, match="closed: cannot be read"):
        list_folder(tmp_path)


def test_files_of_labels_are_listed_alike(tmp_path):
    for name in (
        "a.json",
        "._a.json",
        "__MACOSX/._a.json",
        "x/b.json",
        ".ipynb_checkpoints/a-checkpoint.json",
    ):
        put(tmp_path / name)
    assert names(files_like(tmp_path, "*.json", "*/*.json")) == ["a.json", "b.json"]
