import pytest

from srtod import data
from srtod.data.checks import check_images, check_sizes
from srtod.support.errors import InputError


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="none: no such file or folder"):
        data.read(tmp_path / "none")


def test_folder_and_file_of_no_layout(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    for path in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(InputError, match=r"no data set \(aitod, droneswarms, .*\) found here"):
            data.read(path)


def test_named_layout_that_is_not_there(tmp_path, make_coco):
    make_coco(tmp_path)
    with pytest.raises(InputError, match="no data set in the layout 'voc' found here"):
        data.read(tmp_path, format="voc")


def test_unknown_layout(tmp_path):
    with pytest.raises(InputError, match=r"unknown format 'visdrones' \(did you mean 'visdrone'\?\)"):
        data.read(tmp_path, format="visdrones")


def test_two_layouts_in_one_folder(tmp_path, make_coco):
    make_coco(tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(InputError, match="could be yolo or coco; say which with --format"):
        data.read(tmp_path)
    assert data.read(tmp_path, format="yolo").classes == ("cat",)
    assert data.read(tmp_path, format="coco").classes == ("cat", "dog")


def test_images_are_checked_when_asked(tmp_path, make_coco):
    make_coco(tmp_path)
    (tmp_path / "images" / "b.png").write_bytes((tmp_path / "images" / "b.png").read_bytes()[:500])
    assert data.read(tmp_path).faults == ()
    annotated = check_images(data.read(tmp_path))
    (fault,) = annotated.faults
    assert (fault.file, fault.image_id) == (tmp_path / "images" / "b.png", 2)
    assert "damaged image" in fault.what
    assert [record.image_id for record in annotated.records] == [1]


def test_photograph_whose_annotations_refer_to_the_stored_pixels(tmp_path, make_coco, make_image):
    from PIL import Image

    make_coco(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    make_image(tmp_path / "images" / "b.png", exif=exif)
    annotated = check_images(data.read(tmp_path))
    assert annotated.faults == ()
    (fault,) = check_sizes(annotated).faults
    assert "is shown with 48 x 64 pixels, its annotations say 64 x 48" in fault.what
