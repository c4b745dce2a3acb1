import pytest

from srtod import data
from srtod.data import ANY_CLASS

SIZE = "<size><width>64</width><height>48</height><depth>3</depth></size>"


def box(left, top, right, bottom) -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (left, top, right, bottom), strict=True)
    return f"<bndbox>{''.join(f'<{side}>{value}</{side}>' for side, value in sides)}</bndbox>"


def thing(name="cat", bounds=(1, 1, 64, 48), more="") -> str:
    return f"<object><name>{name}</name>{more}{box(*bounds)}</object>"


@pytest.fixture
def make_voc(tmp_path, make_image):
    """Writes images with annotations and returns the folder."""

    def make(**objects):
        (tmp_path / "Annotations").mkdir()
        for stem, text in objects.items():
            make_image(tmp_path / "JPEGImages" / f"{stem}.jpg")
            (tmp_path / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{text}</annotation>")
        return tmp_path

    return make


def test_reads_boxes_from_the_first_pixel_to_the_last(make_voc):
    more = "<pose>Left</pose><truncated>1</truncated><occluded>0</occluded><difficult>0</difficult>"
    annotated = data.read(make_voc(a=SIZE + thing() + thing("dog", (11, 21, 12.5, 22), more)))
    assert (annotated.format, annotated.split, annotated.classes) == ("voc", "", ("cat", "dog"))
    (record,) = annotated.require_sound().records
    assert record.boxes.tolist() == [[0, 0, 64, 48], [10, 20, 12.5, 22]]
    assert record.labels.tolist() == [0, 1]
    assert record.attributes == ({}, {"truncation": 1, "pose": "Left"})


def test_difficult_is_to_be_ignored(make_voc):
    hard = "<difficult>1</difficult>"
    both = thing("cat", (5, 5, 9, 9), hard) + thing("dog", (5, 5, 9, 9), hard)
    (record,) = data.read(make_voc(a=SIZE + thing("dog", more=hard) + both)).records
    assert record.ignore.all()
    assert record.labels.tolist() == [1, ANY_CLASS]


def test_lists_are_splits_and_classes_are_those_of_all(make_voc):
    root = make_voc(a=SIZE + thing("dog"), b=SIZE + thing("cat"))
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b\n")
    (lists / "cat_val.txt").write_text("b 1\n")
    (lists / "dog_val.txt").write_text("b -1\n")
    assert data.splits(root) == ("train", "val")
    train = data.read(root, split="train")
    assert train.classes == ("cat", "dog")
    assert [record.file_name for record in train.records] == ["a.jpg"]
    assert train.records[0].labels.tolist() == [1]


def test_lists_name_images_with_spaces_and_with_their_endings(make_voc):
    marks = {"sp ace": SIZE + thing(), "b": SIZE + thing(), "c.1": SIZE + thing(), "none": SIZE + thing()}
    root = make_voc(**marks)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("sp ace\nb.jpg\nc.1 \n\n")
    (lists / "val.txt").write_text("b.JPG\ngone.jpg\n")
    train, val = (data.read(root, split=name) for name in ("train", "val"))
    assert [record.file_name for record in train.records] == ["sp ace.jpg", "b.jpg", "c.1.jpg"]
    assert [note for note in train.notes if "in no list" in note] == [
        f"{lists / 'train.txt'}: 1 annotation files are in no list, such as none.xml: not read"
    ]
    assert [record.file_name for record in val.records] == ["b.jpg"]
    assert [fault.what for fault in val.faults] == ["missing image: there is no gone.jpg"]


def test_class_file_gives_the_order(make_voc):
    root = make_voc(a=SIZE + thing("cat"))
    (root / "classes.txt").write_text("dog\ncat\n")
    assert data.read(root).classes == ("dog", "cat")


def test_size_of_the_image_where_none_is_given(make_voc):
    (record,) = data.read(make_voc(a=thing())).require_sound().records
    assert (record.width, record.height) == (64, 48)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (thing(bounds=("nan", 1, 5, 5)), "has NaN or infinite numbers"),
        (thing(bounds=("a", 1, 5, 5)), "'a' is not a number"),
        (thing(bounds=("", 1, 5, 5)), "'' is not a number"),
        ("<object><name>cat</name></object>", "missing xmin in its bndbox"),
    ],
)
def test_an_object_without_a_place_costs_its_image(make_voc, text, message):
    annotated = data.read(make_voc(a=SIZE + thing() + text))
    assert annotated.records == ()
    (fault,) = annotated.faults
    assert (fault.file.name, fault.image_id, fault.annotation_id) == ("a.xml", 1, "object 2")
    assert message in fault.what


@pytest.mark.parametrize("flag", ["difficult", "truncated", "occluded"])
def test_a_flag_that_says_neither_counts_as_absent(make_voc, flag):
    text = thing(more=f"<{flag}>Unspecified</{flag}>")
    (record,) = data.read(make_voc(a=SIZE + text)).require_sound().records
    assert record.ignore.tolist() == [False]
    assert record.attributes == ({},)


def test_an_object_without_size_is_a_region_to_ignore(make_voc):
    annotated = data.read(make_voc(a=SIZE + thing() + thing(bounds=(9, 9, 5, 5))))
    assert annotated.records[0].ignore.tolist() == [False, True]
    assert "has zero or negative size" in annotated.faults[0].what


def test_unknown_category(make_voc):
    root = make_voc(a=SIZE + thing() + thing("bird"))
    (root / "classes.txt").write_text("cat\n")
    (fault,) = data.read(root).faults
    assert fault.what == "unknown category 'bird'; the classes are cat"


def named(name, more="") -> str:
    return f"<filename>{name}</filename>{more}{SIZE}{thing()}"


def files(annotated) -> list[str]:
    return [record.path.relative_to(annotated.source).as_posix() for record in annotated.records]


def test_of_images_of_one_stem_the_annotations_name_theirs(make_voc, make_image):
    root = make_voc(a=named("a.jpg"))
    for name in ("a.png", "s/a.jpg"):
        make_image(root / "JPEGImages" / name)
    annotated = data.read(root)
    assert files(annotated) == ["JPEGImages/a.jpg"]
    (root / "Annotations" / "a.xml").write_text(f"<annotation>{SIZE}{thing()}</annotation>")
    annotated = data.read(root)
    assert files(annotated) == []
    assert "a.xml, image 1: several images are called so (a.jpg, a.png); rename" in str(annotated.faults[0])


def test_annotations_in_sub_folders_are_of_the_images_in_theirs(make_voc, make_image):
    root = make_voc(z=named("z.jpg"))
    for folder in ("s1", "s2"):
        make_image(root / "JPEGImages" / folder / "a.jpg")
        (root / "Annotations" / folder).mkdir()
    for folder in ("s1", "s2", "s3"):
        (root / "Annotations" / folder).mkdir(exist_ok=True)
        text = f"<annotation>{named('a.jpg')}</annotation>"
        (root / "Annotations" / folder / "a.xml").write_text(text)
    annotated = data.read(root)
    assert files(annotated) == [f"JPEGImages/{name}.jpg" for name in ("s1/a", "s2/a", "z")]
    (fault,) = annotated.faults
    assert "s3/a.xml" in str(fault)
    assert "missing image" in fault.what


def test_annotations_name_an_image_of_another_stem(make_voc, make_image):
    root = make_voc(a=named("b.jpg"))
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / "b.jpg")
    assert files(data.read(root).require_sound()) == ["JPEGImages/b.jpg"]


def test_an_image_with_annotations_of_its_own_is_not_that_of_others(make_voc):
    root = make_voc(a=named("a.jpg"), turned=named("a.jpg"), lost=named("a.jpg"))
    (root / "JPEGImages" / "lost.jpg").unlink()
    annotated = data.read(root)
    assert files(annotated) == ["JPEGImages/a.jpg", "JPEGImages/turned.jpg"]
    assert [len(record.boxes) for record in annotated.records] == [1, 1]
    (fault,) = annotated.faults
    assert "lost.xml, image 2: missing image: a.jpg has other annotations" in str(fault)


@pytest.mark.parametrize("sub", ["", "labels"])
def test_what_gdal_leaves_beside_images_is_passed_over(tmp_path, make_image, sub):
    for stem in "ab":
        make_image(tmp_path / f"{stem}.tif")
        (tmp_path / f"{stem}.tif.aux.xml").write_text("<PAMDataset/>")
        (tmp_path / sub).mkdir(exist_ok=True)
        (tmp_path / sub / f"{stem}.xml").write_text(f"<annotation>{named(f'{stem}.tif')}</annotation>")
    assert files(data.read(tmp_path).require_sound()) == ["a.tif", "b.tif"]


def test_bad_files(make_voc, make_image):
    root = make_voc(
        a=SIZE + thing(), b=SIZE + "<object>", c="<size><width>0</width><height>9</height></size>"
    )
    make_image(root / "JPEGImages" / "d.jpg")
    (root / "Annotations" / "e.xml").write_text("<annotation/>")
    annotated = data.read(root)
    assert [record.file_name for record in annotated.records] == ["a.jpg", "c.jpg"]
    texts = [str(fault) for fault in annotated.faults]
    assert "b.xml, image 2: not valid XML: mismatched tag" in texts[0]
    assert "d.xml, image 4: there is no such annotation file" in texts[1]
    assert "e.xml, image 5: missing image 'e'" in texts[2]
