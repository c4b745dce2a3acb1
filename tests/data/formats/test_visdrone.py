import pytest

from srtod import data
from srtod.data import ANY_CLASS
from srtod.data.formats.visdrone import CLASSES
from srtod.support.errors import InputError


@pytest.fixture
def make_split(make_image):
    """Writes a folder with one image a text of annotations."""

    def make(folder, **texts):
        (folder / "annotations").mkdir(parents=True)
        for stem, text in texts.items():
            make_image(folder / "images" / f"{stem}.jpg")
            (folder / "annotations" / f"{stem}.txt").write_text(text)
        return folder

    return make


def test_reads_official_splits(tmp_path, make_split, make_image):
    for split in ("train", "val", "test-dev"):
        make_split(tmp_path / f"VisDrone2019-DET-{split}", a="1,2,3,4,1,4,0,2\n")
    make_image(tmp_path / "VisDrone2019-DET-test-challenge" / "images" / "a.jpg")
    (tmp_path / "VisDrone2019-DET-val.zip").write_bytes(b"")
    assert data.splits(tmp_path) == ("test", "train", "val")
    annotated = data.read(tmp_path / "VisDrone2019-DET-train")
    assert (annotated.format, annotated.split, annotated.classes) == ("visdrone", "train", CLASSES)
    assert annotated.faults == ()
    (record,) = annotated.records
    assert (record.file_name, record.width, record.height) == ("a.jpg", 64, 48)
    assert record.boxes.tolist() == [[1, 2, 4, 6]]
    assert [annotated.classes[label] for label in record.labels] == ["car"]
    assert record.attributes == ({"truncation": 0, "occlusion": 2},)


def test_archives_unpacked_into_folders_of_their_own_names(tmp_path, make_split):
    for split in ("train", "val", "test_dev"):
        name = f"VisDrone2019-DET-{split}"
        make_split(tmp_path / name / name, a="1,2,3,4,1,4,0,2\n")
    assert data.splits(tmp_path) == ("test", "train", "val")
    assert data.splits(tmp_path / "VisDrone2019-DET-val") == ("val",)
    assert data.read(tmp_path, split="test").faults == ()


def test_folders_of_one_split_are_told_apart_by_their_names(tmp_path, make_split):
    for name in ("train-1.5m", "train-1.6m", "val"):
        make_split(tmp_path / name, a="1,2,3,4,1,4,0,2\n")
    assert data.splits(tmp_path) == ("train-1.5m", "train-1.6m", "val")


def test_coco_json_beside_the_texts_needs_a_word(tmp_path, make_split, make_coco):
    folder = make_split(tmp_path / "VisDrone2019-DET-train", a="1,2,3,4,1,4,0,2\n")
    make_coco(folder, "visdrone_train_coco.json")
    with pytest.raises(InputError, match="could be visdrone or coco; say which with --format"):
        data.read(tmp_path)
    assert data.read(tmp_path, format="visdrone").classes == CLASSES
    assert data.read(tmp_path, format="coco").faults == ()


def test_ignored_regions_others_and_scores_of_zero(tmp_path, make_split):
    lines = "0,0,9,9,0,0,0,0\n9,9,9,9,1,11,0,0\n20,20,5,5,0,1,0,0\n30,30,5,5,1,1,1,0,\n\n"
    (record,) = data.read(make_split(tmp_path, a=lines)).records
    assert record.labels.tolist() == [ANY_CLASS, ANY_CLASS, 0, 0]
    assert record.ignore.tolist() == [True, True, True, False]
    assert [attributes.get("visdrone_category") for attributes in record.attributes] == [0, 11, None, None]


def test_box_a_pixel_out_is_clipped_in_silence(tmp_path, make_split):
    annotated = data.read(make_split(tmp_path, a="60,40,5,9,1,1,0,0\n"))
    assert annotated.faults == ()
    assert annotated.records[0].boxes.tolist() == [[60, 40, 64, 48]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4", "has 4 columns where VisDrone has 8"),
        ("1,2,three,4,1,4,0,0", "'three' is not a number"),
        ("1,2,nan,4,1,4,0,0", "has NaN or infinite numbers"),
        ("1,2,3,4,1,inf,0,0", "must be whole numbers"),
    ],
)
def test_a_line_without_a_place_costs_its_image(tmp_path, make_split, line, message):
    annotated = data.read(make_split(tmp_path, a=f"1,2,3,4,1,4,0,0\n{line}\n"))
    assert annotated.records == ()
    (fault,) = annotated.faults
    assert (fault.file, fault.image_id) == (tmp_path / "annotations" / "a.txt", 1)
    assert fault.annotation_id == "line 2"
    assert message in fault.what


@pytest.mark.parametrize(
    ("line", "message", "ignored"),
    [
        ("1,2,9,4,1,12,0,0", "unknown category 12", 1),
        ("1,2,9,4,1,-1,0,0", "unknown category -1", 1),
        ("1,2,0,4,1,4,0,0", "has zero or negative size", 1),
        ("100,2,3,4,1,4,0,0", "lies outside the image", 0),
    ],
)
def test_no_object_in_a_known_place_is_a_region_to_ignore(tmp_path, make_split, line, message, ignored):
    annotated = data.read(make_split(tmp_path, a=f"1,2,3,4,1,4,0,0\n{line}\n"))
    assert annotated.records[0].ignore.tolist() == [False] + [True] * ignored
    (fault,) = annotated.faults
    assert message in fault.what


def test_files_without_their_partner(tmp_path, make_split, make_image):
    make_split(tmp_path, a="1,2,3,4,1,4,0,0\n")
    make_image(tmp_path / "images" / "b.jpg")
    (tmp_path / "annotations" / "c.txt").write_text("")
    (tmp_path / "images" / "d.jpg").write_text("words")
    (tmp_path / "annotations" / "d.txt").write_text("")
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["a.jpg"]
    texts = [str(fault) for fault in annotated.faults]
    assert "b.jpg, image 2: there is no annotations/b.txt" in texts[0]
    assert "c.txt, image 3: missing image: there is no images/c.jpg" in texts[1]
    assert "d.jpg, image 4: not an image" in texts[2]


def test_classes_of_another_set_are_named_in_a_file(tmp_path, make_split):
    make_split(tmp_path / "train", a="1,2,3,4,1,2,0,0\n")
    (tmp_path / "classes.txt").write_text("bird\ndrone\n")
    annotated = data.read(tmp_path)
    assert annotated.classes == ("bird", "drone")
    assert annotated.records[0].labels.tolist() == [1]


def test_nothing_marked(tmp_path, make_split):
    annotated = data.read(make_split(tmp_path, a=""))
    with pytest.raises(InputError, match="no annotations at all"):
        annotated.require_sound()
