from pathlib import Path

import pytest

from srtod import data
from srtod.support.errors import InputError

LABEL = "1 0.5 0.25 0.125 0.5\n"  # x 28..36, y 0..24 of 64 x 48


@pytest.fixture
def make_split(make_image):
    """Writes an image with a label file into two folders."""

    def make(images, labels, stem="a", text=LABEL):
        make_image(images / f"{stem}.jpg")
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{stem}.txt").write_text(text)

    return make


def test_reads_data_yaml(tmp_path, make_split):
    for split in ("train", "val"):
        make_split(tmp_path / "images" / split, tmp_path / "labels" / split)
    config = "path: /home/somebody/set\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
    (tmp_path / "data.yaml").write_text(config)
    assert data.splits(tmp_path) == data.splits(tmp_path / "data.yaml") == ("train", "val")
    annotated = data.read(tmp_path, split="val")
    assert (annotated.format, annotated.classes, annotated.faults) == ("yolo", ("cat", "dog"), ())
    (record,) = annotated.records
    assert record.path == tmp_path / "images" / "val" / "a.jpg"
    assert record.boxes.tolist() == [[28, 0, 36, 24]]
    assert record.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("images", "labels", "split"),
    [
        ("images/train", "labels/train", "train"),
        ("train/images", "train/labels", "train"),
        ("valid/images", "valid/labels", "val"),
        ("images", "labels", ""),
    ],
)
def test_folders_name_the_splits(tmp_path, make_split, images, labels, split):
    make_split(tmp_path / images, tmp_path / labels)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert data.splits(tmp_path) == (split,)
    annotated = data.read(tmp_path).require_sound()
    assert annotated.classes == ("cat", "dog")
    assert annotated.records[0].boxes.tolist() == [[28, 0, 36, 24]]


def test_roboflow_writes_a_folder_too_high(tmp_path, make_split):
    make_split(tmp_path / "train" / "images", tmp_path / "train" / "labels")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnames: [cat, dog]\n")
    annotated = data.read(tmp_path).require_sound()
    assert annotated.records[0].file_name == "a.jpg" and len(annotated.notes) == 1


@pytest.mark.parametrize("name", ["", "data.yaml"])
def test_a_folder_beside_the_file_comes_before_one_above_and_is_told(tmp_path, make_split, name):
    make_split(tmp_path / "set" / "train" / "images", tmp_path / "set" / "train" / "labels")
    make_split(tmp_path / "train" / "images", tmp_path / "train" / "labels", "foreign")
    (tmp_path / "set" / "data.yaml").write_text("train: ../train/images\nnames: [cat, dog]\n")
    annotated = data.read(tmp_path / "set" / name).require_sound()
    assert [record.file_name for record in annotated.records] == ["a.jpg"]
    own, other = tmp_path / "set/train/images", tmp_path / "train/images"
    told = f"'../train/images' is read as {own}; there is {other}, too: look which is meant"
    assert annotated.notes[0].partition(": ")[2] == told


def test_list_of_images(tmp_path, make_split):
    make_split(tmp_path / "images", tmp_path / "labels")
    make_split(tmp_path / "images", tmp_path / "labels", "b")
    (tmp_path / "val.txt").write_text("./images/b.jpg\n../c.jpg\nimages/d.jpg\n")
    (tmp_path / "data.yaml").write_text("val: val.txt\nnames: [cat, dog]\n")
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["images/b.jpg"]
    texts = [str(fault) for fault in annotated.faults]
    assert "val.txt: missing image '../c.jpg'" in texts[0]
    assert "val.txt: missing image 'images/d.jpg'" in texts[1]


def test_image_without_text_has_no_objects(tmp_path, make_split, make_image):
    make_split(tmp_path / "images", tmp_path / "labels")
    make_image(tmp_path / "images" / "b.jpg")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert [len(record.boxes) for record in data.read(tmp_path).require_sound().records] == [1, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "unknown category 2; there are 2 classes, counted from 0"),
        ("-1 0.5 0.5 0.1 0.1", "unknown category -1"),
        ("0.5 0.5 0.5 0.1 0.1", "unknown category 0.5"),
        ("nan 0.5 0.5 0.1 0.1", "unknown category nan"),
        ("bird 0.5 0.5 0.1 0.1", "unknown category bird"),
        ("0 0,5 0,5 0,1 0,1", "has commas in its numbers where YOLO has points, such as '0,5'"),
        ("0 0.5 0.5 0.1", "has 4 columns where YOLO has 5"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "has 8 columns where YOLO has 5"),
        ("0 nan 0.5 0.1 0.1", "has NaN or infinite numbers"),
        ("0 0.5 0.5 0 0.1", "has zero or negative size"),
        ("0 30 40 10 10", "lies outside the image"),
        ("0 0.9 0.5 0.4 0.1", "reaches out of the image"),
        ("0 50 40 120 90", "lies outside the image: 50 is no fraction of its width or height"),
        ("0 10 10 20 10 20 20", "lies outside the image: 10 is no fraction"),
        ("0 0.5 0.5 0.1 0.1 0.9 7", "ends in the number of a track, 7: keep only the class and the box"),
        ("0 0.5 0.5 0.1 0.1 0.9 1", "ends in the number of a track, 1"),
    ],
)
def test_bad_line(tmp_path, make_split, line, message):
    make_split(tmp_path / "images", tmp_path / "labels", text=f"{LABEL}{line}\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (fault,) = data.read(tmp_path).faults
    assert (fault.file, fault.annotation_id) == (tmp_path / "labels" / "a.txt", "line 2")
    assert message in fault.what


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("names: [cat\n", "data.yaml: not valid YAML: "),
        ("just words\n", "data.yaml: not a YOLO data set"),
        ("train: images\nnames: [[cat], [dog]]\n", "data.yaml: 'names' must be a list"),
        ("train: images\nnames: {1: cat, 2: dog}\n", "data.yaml: 'names' must be a list"),
        ("train: images\nnames:\n0: cat\n", "data.yaml: 'names' must be a list"),
        ("train: images\nnc: 2\nnames: [cat]\n", "data.yaml: nc is 2, 'names' has 1; correct one"),
        ("train: images\nnames: [cat, cat]\n", "data.yaml: 'names' must be a list of different names"),
        ("train: images\nnames: {0: cat, 2: dog}\n", "data.yaml: 'names' must be a list"),
        ("train: pictures\nnames: [cat, dog]\n", "data.yaml: 'pictures' is not there"),
        ("train: /usr\nnames: [cat, dog]\n", "data.yaml: '/usr' leaves the folder, which is refused"),
        ("kpt_shape: 17\nnames: [cat, dog]\n", "'kpt_shape' must be two whole numbers, such as [17, 3]"),
        ("train: images\n", "no class names (key 'names'); add classes.txt"),
    ],
)
def test_bad_config(tmp_path, make_split, config, message):
    make_split(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "data.yaml").write_text(config)
    with pytest.raises(InputError) as error:
        data.read(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("names", ["", "cat\ncat\n"])
def test_class_file_must_name_each_class_once(tmp_path, make_split, names):
    make_split(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(InputError, match=r"classes\.txt: must name every class once"):
        data.read(tmp_path)


def test_leftovers_of_other_programs_are_no_images_and_are_counted(tmp_path, make_split):
    make_split(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    hidden = ("images/._a.jpg", "labels/._a.txt", "._classes.txt", "images/.ipynb_checkpoints/a.jpg")
    for name in (*hidden, "images/b.HEIC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["a.jpg"] and not annotated.faults
    assert sorted(note.removeprefix(f"{tmp_path}: ") for note in annotated.notes) == [
        "left out: 1 x HEIC image: b.HEIC; save them as JPEG or PNG",
        "left out: 2 x leftover of another program: ._a.jpg, a.jpg",
        "nothing refers to 1 of 2 classes (cat): they keep their numbers",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[yes, no]", ("yes", "no")),
        ("{0: on, 1: off}", ("on", "off")),
        ("[1, 2.0, 007]", ("1", "2.0", "007")),
        ("[2024-01-01, null]", ("2024-01-01", "null")),
        ('{"0": cat, "1": dog}', ("cat", "dog")),
        ("cat", ("cat",)),
        ("\"['cat', 'dog']\"", ("cat", "dog")),
    ],
)
def test_names_keep_their_words(tmp_path, make_split, names, expected):
    make_split(tmp_path / "images", tmp_path / "labels", text="")
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: {names}\n")
    assert data.read(tmp_path).classes == expected


@pytest.mark.parametrize(
    "line",
    [
        "1 0.45 0.4 0.55 0.4 0.55 0.6 0.45 0.6",
        "1 0.5 0.5 0.1 0.2 0.87",
        "1,0.5,0.5,0.1,0.2",
        "1\t0.5\t0.5\t0.1\t0.2",
        "dog 0.5 0.5 0.1 0.2",
        "# by hand\n1.0 0.5 0.5 0.1 0.2",
    ],
)
def test_lines_as_tools_write_them(tmp_path, make_split, line):
    make_split(tmp_path / "images", tmp_path / "labels", text=line)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (record,) = data.read(tmp_path).require_sound().records
    assert record.labels.tolist() == [1]
    assert record.boxes.tolist() == [pytest.approx([28.8, 19.2, 35.2, 28.8])]


@pytest.mark.parametrize("line", ["0 50 40 120 90", "0 0.5 0.5 0.1 0.1 0.9 7", "0 0.5 0.4 0.1"])
def test_an_object_without_a_place_costs_its_image(tmp_path, make_split, line):
    make_split(tmp_path / "images", tmp_path / "labels", text=f"{LABEL}{line}\n")
    make_split(tmp_path / "images", tmp_path / "labels", "b")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["b.jpg"]
    assert [record.file_name for record in annotated.left_out] == ["a.jpg"]


@pytest.mark.parametrize(
    ("shape", "points", "wrong"),
    [
        ("[4, 2]", " 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9", "has 11 columns where YOLO has 13"),
        ("[2, 3]", " 0.1 0.1 2 0.9 0.1 2", "has 9 columns where YOLO has 11"),
    ],
)
def test_keypoints_are_not_read_and_widen_no_box(tmp_path, make_split, shape, points, wrong):
    make_split(tmp_path / "images", tmp_path / "labels", text=LABEL.strip() + points)
    (tmp_path / "data.yaml").write_text(f"train: images\nkpt_shape: {shape}\nnames: [cat, dog]\n")
    (record,) = data.read(tmp_path).require_sound().records
    assert record.boxes.tolist() == [[28, 0, 36, 24]] and record.attributes == ({},)
    make_split(tmp_path / "images", tmp_path / "labels", text=LABEL.strip() + points[:-8])
    assert wrong in data.read(tmp_path).faults[0].what


def test_a_number_that_is_a_class_is_not_the_name_of_another(tmp_path, make_split):
    text = "".join(f"{number} 0.5 0.{number % 9 + 2} 0.1 0.1\n" for number in (0, 1, 2, 10))
    make_split(tmp_path / "images", tmp_path / "labels", text=text)
    (tmp_path / "classes.txt").write_text("1\n2\n10\n")
    assert data.read(tmp_path).require_sound().records[0].labels.tolist() == [0, 1, 2, 2]


def test_texts_beside_images_and_in_labels_are_read_alike(tmp_path, make_split):
    make_split(tmp_path / "images", tmp_path / "labels")
    make_split(tmp_path / "images", tmp_path / "images", "b")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert [len(record.boxes) for record in data.read(tmp_path).require_sound().records] == [1, 1]


@pytest.mark.parametrize(
    ("image", "text", "split"),
    [
        ("images/a.jpg", "labels/a.TXT", ""),
        ("images/train/IMG_1.JPG", "labels/train/img_1.txt", "train"),
        ("images/\u00fc.jpg", "labels/u\u0308.txt", ""),
        ("Images/a.jpg", "Labels/a.txt", ""),
        ("Images/Train/a.jpg", "labels/train/A.txt", "train"),
        ("Val/Images/a.jpg", "Val/Labels/a.txt", "val"),
        ("IMG_1.JPG", "img_1.TXT", ""),
    ],
)
def test_capitals_of_texts_and_folders_are_seen_through(tmp_path, make_image, image, text, split):
    make_image(tmp_path / image, format="jpeg")
    (tmp_path / text).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / text).write_text(LABEL)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert data.splits(tmp_path) == (split,)
    annotated = data.read(tmp_path).require_sound()
    assert annotated.records[0].boxes.tolist() == [[28, 0, 36, 24]]
    (tmp_path / "data.yaml").write_text(f"train: {Path(image).parent}\nnames: [cat, dog]\n")
    assert len(data.read(tmp_path).require_sound().records[0].boxes) == 1
    assert f"1 texts are found by other capitals, such as {tmp_path / text}" in annotated.notes[0]


def test_a_text_is_that_of_the_image_of_its_own_name(tmp_path, make_split, make_image):
    make_split(tmp_path / "images", tmp_path / "labels")
    make_image(tmp_path / "images" / "A.png")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    records = data.read(tmp_path).require_sound().records
    assert {record.file_name: len(record.boxes) for record in records} == {"a.jpg": 1, "A.png": 0}


@pytest.mark.parametrize("texts", [["labels/c.txt"], ["labels/B.txt", "images/B.TXT"]])
def test_an_image_whose_text_may_be_one_that_is_not_read_is_left_out(tmp_path, make_split, make_image, texts):
    make_split(tmp_path / "images", tmp_path / "labels")
    make_image(tmp_path / "images" / "b.jpg")
    for text in texts:
        (tmp_path / text).write_text(LABEL)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["a.jpg"]
    assert [record.file_name for record in annotated.left_out] == ["b.jpg"]
    *unread, lost = map(str, annotated.faults)
    assert len(unread) == len(texts) and all("its boxes are not read" in fault for fault in unread)
    assert f"{tmp_path / 'labels' / 'b.txt'}, image 2: there is no such annotation file" in lost


def test_a_flat_folder_of_labelimg(tmp_path, make_split):
    make_split(tmp_path, tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert data.splits(tmp_path) == ("",)
    assert len(data.read(tmp_path).require_sound().records[0].boxes) == 1


def test_boxes_whose_image_is_missing_are_told(tmp_path, make_split):
    for name in ("a", "b", "c"):
        make_split(tmp_path / "images", tmp_path / "labels", name)
    (tmp_path / "images" / "b.jpg").unlink()
    (tmp_path / "images" / "c.jpg").rename(tmp_path / "images" / "c.heic")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    lost, unread = data.read(tmp_path).faults
    assert str(lost).endswith("b.txt: its boxes are not read: there is no image of that name")
    assert str(unread).endswith("there is no image of that name (there is 'c.heic')")


def test_a_split_that_is_not_there_is_left_out_and_told(tmp_path, make_split):
    make_split(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "data.yaml").write_text("train: images\nval: no\ntest: ../test/images\nnames: [cat, dog]\n")
    assert data.splits(tmp_path) == ("train",)
    assert [note.partition(": ")[2] for note in data.read(tmp_path).notes] == [
        "the split 'val' is left out: 'no' is not there",
        "the split 'test' is left out: '../test/images' is not there",
        "nothing refers to 1 of 2 classes (cat): they keep their numbers",
    ]


@pytest.mark.parametrize("path", ["../set", "{root}/set", ""])
def test_a_file_that_the_user_names_may_lead_elsewhere(tmp_path, make_split, path):
    make_split(tmp_path / "set" / "images", tmp_path / "set" / "labels")
    config = tmp_path / "configs" / "own.yaml"
    config.parent.mkdir()
    place = "images" if path else "../set/images"
    config.write_text(f"path: {path.format(root=tmp_path)}\ntrain: {place}\nnames: [cat, dog]\n")
    assert len(data.read(config).require_sound().records) == 1


def test_a_file_in_a_folder_that_the_user_names_may_not(tmp_path, make_split):
    make_split(tmp_path / "secret" / "images", tmp_path / "secret" / "labels")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.yaml").write_text("train: ../secret/images\nnames: [cat, dog]\n")
    with pytest.raises(InputError, match="leaves the folder, which is refused"):
        data.read(tmp_path / "set")


def test_the_export_of_cvat(tmp_path, make_split):
    make_split(tmp_path / "obj_train_data", tmp_path / "obj_train_data")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.jpg\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    assert data.read(tmp_path).require_sound().records[0].labels.tolist() == [1]


def test_the_export_of_label_studio(tmp_path, make_split):
    make_split(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "cat"}], "info": {"year": 2026}}')
    assert data.read(tmp_path).format == "yolo"
