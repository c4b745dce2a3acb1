import json

import numpy as np
import pytest

from srtod import data
from srtod.data import ANY_CLASS
from srtod.data.checks import check_images
from srtod.support.errors import InputError


def annotation(number: int, image_id=1, category: int = 1, box=(10.0, 10.0, 6.0, 6.0), **more) -> dict:
    return {"id": number, "image_id": image_id, "category_id": category, "bbox": list(box), **more}


def faults(path, **options):
    return [str(fault) for fault in data.read(path, **options).faults]


def test_reads_images_boxes_and_classes_in_the_order_of_their_ids(tmp_path, make_coco):
    file = make_coco(tmp_path)
    annotated = data.read(tmp_path)
    assert (annotated.format, annotated.split, annotated.source) == ("coco", "train", file)
    assert annotated.classes == ("cat", "dog")
    assert annotated.category_ids == (3, 7)
    assert annotated.faults == ()
    first, second = annotated.records
    assert (first.image_id, first.file_name, first.path) == (1, "a.png", tmp_path / "images" / "a.png")
    assert (first.width, first.height) == (64, 48)
    assert first.boxes.tolist() == [[10, 10, 16, 16]]
    assert first.labels.tolist() == [1]
    assert second.boxes.tolist() == [[0, 0, 2.5, 1.5]]
    assert second.annotation_ids.tolist() == [2]
    assert not first.ignore.any()


def test_image_without_boxes_is_an_image(tmp_path, make_coco):
    make_coco(tmp_path, annotations=[annotation(1, category=3)])
    records = data.read(tmp_path).records
    assert [len(record.boxes) for record in records] == [1, 0]
    assert records[1].boxes.shape == (0, 4)


def test_other_keys_become_attributes_and_area_where_it_says_more(tmp_path, make_coco):
    marks = [
        annotation(1, category=3, area=36, truncation=1),
        annotation(2, category=3, box=(9, 9, 6, 6), area=20.5, segmentation=[[1, 2, 3, 4, 5, 6]]),
    ]
    make_coco(tmp_path, annotations=marks)
    assert data.read(tmp_path).records[0].attributes == (
        {"truncation": 1},
        {"segmentation": [[1, 2, 3, 4, 5, 6]], "area": 20.5},
    )


def test_crowd_of_one_class_and_of_all(tmp_path, make_coco):
    marks = [
        annotation(1, category=3, iscrowd=1),
        annotation(2, category=7, box=(20, 20, 9, 9), iscrowd=1),
        annotation(3, category=3, box=(20, 20, 9, 9), iscrowd=1),
        annotation(4, category=3, box=(20, 20, 9, 9)),
    ]
    make_coco(tmp_path, annotations=marks)
    record = data.read(tmp_path).records[0]
    by_id = dict(zip(record.annotation_ids.tolist(), record.labels.tolist(), strict=True))
    assert by_id == {1: 0, 3: ANY_CLASS, 4: 0}
    assert record.ignore.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("place", "json_name"),
    [
        ("images", "train.json"),
        ("train", "train.json"),
        ("JPEGImages", "train.json"),
        ("images/train", "annotations/train.json"),
        ("train2017", "annotations/instances_train2017.json"),
        ("images/train2017", "annotations/instances_train2017.json"),
        ("train/images", "train.json"),
        ("", "train.json"),
        ("train", "train/_annotations.coco.json"),
        ("VisDrone2019-DET-train/images", "annotations/VisDrone2019-DET_train_coco.json"),
        ("VisDrone2019-DET-train/images", "annotations_coco/VisDrone2019-DET_train_coco.json"),
        ("VisDrone2019-DET-train/images", "VisDrone2019-DET-train/visdrone_train_coco.json"),
        ("VisDrone2019-DET-train", "train.json"),
    ],
)
def test_finds_images_in_sensible_places(tmp_path, make_coco, make_image, place, json_name):
    make_coco(tmp_path, json_name, images=())
    content = json.loads((tmp_path / json_name).read_text())
    content["images"] = [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    content["annotations"] = [annotation(1, category=3)]
    (tmp_path / json_name).write_text(json.dumps(content))
    path = make_image(tmp_path / place / "a.png")
    assert data.splits(tmp_path) == ("train",)
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert annotated.records[0].path == path


def test_folder_holds_splits_and_a_file_is_one(tmp_path, make_coco):
    for name in ("train.json", "instances_val2017.json"):
        make_coco(tmp_path / "a", name)
    assert data.splits(tmp_path / "a") == ("val",)  # "instances_" says what it is
    for name in ("train.json", "val.json", "notes.json"):
        make_coco(tmp_path / "b", name)
    assert data.splits(tmp_path / "b") == ("train", "val")
    assert data.read(tmp_path / "b", split="val").split == "val"
    assert data.splits(tmp_path / "b" / "val.json") == ("val",)
    with pytest.raises(InputError, match=r"has the splits train, val; choose one with --split"):
        data.read(tmp_path / "b")
    with pytest.raises(InputError, match=r"no split 'vale' \(did you mean 'val'\?\); it has train, val"):
        data.read(tmp_path / "b", split="vale")


@pytest.mark.parametrize("content", [{"AP": 1}, [{"image_id": 1, "score": 0.5}]])
def test_other_json_that_is_called_like_a_split_is_passed_over(tmp_path, make_coco, content):
    for name in ("annotations/instances_train.json", "annotations/instances_val.json"):
        make_coco(tmp_path, name)
    for name in ("test_metrics.json", "annotations/instances_test_results.json"):
        (tmp_path / name).write_text(json.dumps(content))
    assert data.splits(tmp_path) == ("train", "val")


@pytest.mark.parametrize(
    "text", ["", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"]
)
def test_a_split_beside_others_that_is_no_json_is_not_passed_over(tmp_path, make_coco, text):
    make_coco(tmp_path, "val.json")
    (tmp_path / "train.json").write_text(text)
    assert data.splits(tmp_path) == ("train", "val")
    with pytest.raises(InputError, match=r"train\.json"):
        data.read(tmp_path, split="train")


def test_a_file_with_many_categories_in_front_is_recognised(tmp_path, make_coco):
    file = make_coco(tmp_path, "labels.json")
    content = json.loads(file.read_text())
    content["categories"] += [{"id": 9 + number, "name": f"class {number}"} for number in range(365)]
    marks = [annotation(number, category=3, box=(number / 9, 9, 2, 2)) for number in range(1, 200)]
    ordered = {key: content[key] for key in ("categories", "images")} | {"annotations": marks}
    file.write_text(json.dumps(ordered))
    assert len(data.read(tmp_path).require_sound().classes) == 367


def test_test_dev_is_the_split_test_unless_there_is_another(tmp_path, make_coco):
    for name in ("train", "test-dev"):
        make_coco(tmp_path, f"annotations/VisDrone2019-DET_{name}_coco.json")
    assert data.splits(tmp_path) == ("test", "train")
    make_coco(tmp_path, "annotations/another_test.json")
    assert data.splits(tmp_path) == ("VisDrone2019-DET_test-dev_coco", "train", "another_test")


def test_files_of_one_split_are_told_apart_by_their_stems(tmp_path, make_coco):
    for name in ("instances_train2014.json", "instances_train2017.json"):
        make_coco(tmp_path, f"annotations/{name}")
    assert data.splits(tmp_path) == ("instances_train2014", "instances_train2017")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON at line 1"),
        ('{"images": [', "not valid JSON at line 1"),
        ("[]", "not a COCO annotation file: holds a list"),
        ("3", "not a COCO annotation file: there is no list 'images'"),
        ('{"images": []}', "not a COCO annotation file: there is no list 'categories'"),
        ('{"images": [], "annotations": {}}', "there is no list 'categories'"),
        ('{"images": [], "annotations": []}', "there is no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "no categories"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1}]}',
            "(id 1): lacks the key 'name'",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id":1,"name":"a"},{"id":1,"name":"b"}]}',
            "category 1 (id 1): id 1 is there twice; give every category its own",
        ),
    ],
)
def test_broken_and_foreign_files(tmp_path, text, message):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(InputError) as error:
        data.read(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'train.json'}: ")
    assert message in str(error.value)


def test_not_utf8(tmp_path):
    (tmp_path / "train.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        data.read(tmp_path)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((NAN, 1, 2, 2), "bbox [nan, 1, 2, 2] is not finite"),
        ((1, 1, INF, 2), "bbox [1, 1, inf, 2] is not finite"),
        ((1, 1, 10**400, 2), "is not finite"),
        ((1, 2, 3), "is not a list of four numbers"),
        ((1, 2, 3, "4"), "is not a list of four numbers"),
        ((1, 2, 3, None), "is not a list of four numbers"),
        ((1, 2, 3, True), "is not a list of four numbers"),
    ],
)
def test_an_image_goes_where_a_box_has_no_place(tmp_path, make_coco, box, message):
    file = make_coco(tmp_path, annotations=[annotation(1, category=3), annotation(9, category=3, box=box)])
    annotated = data.read(tmp_path)
    assert [record.image_id for record in annotated.records] == [2]
    assert [record.image_id for record in annotated.left_out] == [1]
    (fault,) = annotated.faults
    assert (fault.file, fault.image_id, fault.annotation_id) == (file, 1, 9)
    assert message in fault.what
    with pytest.raises(InputError, match=r"train\.json, image 1, annotation 9: b.*--skip-bad"):
        annotated.require_sound()


@pytest.mark.parametrize(
    ("box", "message", "place"),
    [
        ((1, 1, 0, 2), "has zero or negative size", [0.5, 1, 1.5, 3]),
        ((9, 9, -3, 2), "has zero or negative size", [6, 9, 9, 11]),
        ((64, 1, 3, 3), "lies outside the image of 64 x 48 pixels", None),
        ((-9, 1, 3, 3), "lies outside the image of 64 x 48 pixels", None),
    ],
)
def test_a_box_without_size_becomes_a_region_to_ignore(tmp_path, make_coco, box, message, place):
    make_coco(tmp_path, annotations=[annotation(1, category=3), annotation(9, category=3, box=box)])
    annotated = data.read(tmp_path)
    (fault,) = annotated.faults
    assert message in fault.what
    assert annotated.records[0].boxes[1:].tolist() == ([place] if place else [])
    assert annotated.records[0].ignore.tolist() == [False] + [True] * bool(place)


def test_box_that_reaches_out_is_clipped_and_told_beyond_a_pixel(tmp_path, make_coco):
    marks = [annotation(1, category=3, box=(-1, 0, 5, 5)), annotation(2, category=3, box=(60, 40, 9, 9))]
    make_coco(tmp_path, annotations=marks)
    annotated = data.read(tmp_path)
    assert annotated.records[0].boxes.tolist() == [[0, 0, 4, 5], [60, 40, 64, 48]]
    (fault,) = annotated.faults
    assert fault.annotation_id == 2
    assert fault.what.startswith("box (x 60, y 40, width 9, height 9) reaches out of the image")


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            annotation(9, category=5),
            "annotation 9: category_id 5 is not known in its categories; known",
        ),
        (annotation(9, category=True), "annotation 9: category_id True is not known"),
        (annotation(9, category=3, iscrowd=2), "iscrowd 2 is neither 0 nor 1"),
        ({"id": 9, "image_id": 1, "bbox": [1, 1, 2, 2]}, "annotation 9: lacks the key 'category_id'"),
    ],
)
def test_no_object_in_a_known_place_becomes_a_region_to_ignore(tmp_path, make_coco, mark, message):
    make_coco(tmp_path, annotations=[annotation(1, category=3, box=(30, 30, 4, 4)), mark])
    annotated = data.read(tmp_path)
    assert annotated.records[0].ignore.tolist() == [False, True]
    (fault,) = annotated.faults
    assert message in str(fault)


@pytest.mark.parametrize(
    ("mark", "message", "kept"),
    [
        ({"id": 9, "image_id": 1, "category_id": 3}, "annotation 9: lacks the key 'bbox'", [2]),
        (annotation(9, 77, 3), "image 77, annotation 9: image_id 77 is not known in its images", [1, 2]),
        (annotation(9, [1], 3), "annotation 9: image_id [1] is not known in its images", [1, 2]),
        ("nonsense", "annotation 2: 'nonsense' is not an object", [1, 2]),
    ],
)
def test_what_has_no_place_costs_its_image(tmp_path, make_coco, mark, message, kept):
    make_coco(tmp_path, annotations=[annotation(1, category=3), mark])
    annotated = data.read(tmp_path)
    assert [record.image_id for record in annotated.records] == kept
    (fault,) = annotated.faults
    assert message in str(fault)


GOOD = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (GOOD, "images[1]: id 1 is there twice"),
        (GOOD | {"id": None}, "images[1]: id None is neither a whole number nor a string"),
        (GOOD | {"id": True}, "images[1]: id True is neither"),
        (7, "images[1]: 7 is not an object"),
        (GOOD | {"id": 2, "file_name": "c.png"}, "image 2: missing image 'c.png'; looked in "),
        (GOOD | {"id": 2, "file_name": "x" * 5000}, "image 2: missing image"),
        (GOOD | {"id": 2, "file_name": 3}, "image 2: file_name must be a text, got 3"),
        ({"id": 2, "width": 64, "height": 48}, "image 2: file_name must be a text, got None"),
        (GOOD | {"id": 2, "file_name": "../images/c.png"}, "missing image"),
        (GOOD | {"id": 2, "file_name": "/etc/passwd"}, "missing image"),
        (GOOD | {"id": 2, "file_name": "c.png\0"}, "missing image"),
    ],
)
def test_bad_image_is_left_out(tmp_path, make_coco, image, message):
    make_coco(tmp_path, images=("a.png",))
    file = make_coco(tmp_path, annotations=[annotation(1, category=3)])
    content = json.loads(file.read_text())
    content["images"] = [GOOD, image]
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert [record.image_id for record in annotated.records] == [1]
    (fault,) = annotated.faults
    assert message in str(fault)


def test_images_that_share_an_id_are_all_left_out(tmp_path, make_coco):
    file = make_coco(tmp_path, images=("a.png", "b.png", "c.png"))
    content = json.loads(file.read_text())
    content["images"][1]["id"] = 1
    content["annotations"] = [annotation(1, 1, 3), annotation(2, 3, 3)]
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["c.png"]
    first, second = map(str, annotated.faults)
    assert "image 1: images[0]: id 1 is that of several images; give every image its own" in first
    assert "image 1: images[1]: id 1 is there twice" in second


@pytest.mark.parametrize("number", [1, "x", None, 2**70, 1.5])
def test_ids_of_annotations_that_cannot_be_used_cost_nothing(tmp_path, make_coco, number):
    make_coco(tmp_path, annotations=[annotation(1, category=3), annotation(number, category=7)])
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert annotated.records[0].annotation_ids.tolist() == [1, 2]
    (note,) = annotated.notes
    assert note.endswith("counted anew")


def test_a_text_stands_for_a_number(tmp_path, make_coco):
    make_coco(tmp_path, annotations=[annotation(1, "1", "3"), annotation(2, 2, 7)])
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert [record.labels.tolist() for record in annotated.records] == [[0], [1]]


@pytest.mark.parametrize(
    "size", [{"width": 0}, {"width": "x"}, {"width": 1.5}, {"width": NAN}, {"height": None}]
)
def test_a_size_that_is_none_is_taken_from_the_file(tmp_path, make_coco, size):
    make_coco(tmp_path, images=("a.png",))
    file = make_coco(tmp_path, annotations=[annotation(1, category=3)])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"images": [GOOD | size]}))
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert (annotated.records[0].width, annotated.records[0].height) == (64, 48)


@pytest.mark.parametrize(
    "name",
    [
        "B.PNG",
        "b.jpg",
        "..\\..\\upload\\4\\b.png",
        "/data/upload/b.png",
        "C:\\me\\b.png",
        "/data/local-files/?d=images/b.png",
        "images\\b.png",
        "%62.png",
    ],
)
def test_names_from_other_computers_are_found(tmp_path, make_coco, name):
    file = make_coco(tmp_path)
    content = json.loads(file.read_text())
    content["images"][1]["file_name"] = name
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert annotated.records[1].path.name == "b.png"


def test_a_base_name_that_two_files_have_is_not_guessed(tmp_path, make_coco, make_image):
    file = make_coco(tmp_path, images=("a.png",))
    for folder in ("one", "two"):
        make_image(tmp_path / "images" / folder / "b.png")
    content = json.loads(file.read_text())
    content["images"].append(GOOD | {"id": 2, "file_name": "/elsewhere/b.png"})
    file.write_text(json.dumps(content))
    assert any("missing image '/elsewhere/b.png'" in fault for fault in faults(tmp_path))


def test_a_missing_image_is_not_another_of_the_same_base_name(tmp_path, make_coco, make_image):
    file = make_coco(tmp_path, images=("seqB/1.png", "seqB/2.png"))
    make_image(tmp_path / "images" / "seqB" / "3.png")
    content = json.loads(file.read_text())
    names = (
        "seqA/1.png",
        "seqA/2.jpg",
        "seqA/3.png",
    )  # the first two are those of others, the last is nobody's
    content["images"] += [GOOD | {"id": number, "file_name": name} for number, name in enumerate(names, 3)]
    content["annotations"].append(annotation(3, 3, 3))
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["seqB/1.png", "seqB/2.png"]
    assert [len(record.boxes) for record in annotated.records] == [1, 1]
    assert [
        f"missing image {name!r}" in str(fault) for name, fault in zip(names, annotated.faults, strict=True)
    ]


@pytest.mark.parametrize("root", ["/data/", "C:\\", "https://host/", "../"])
def test_a_base_name_that_two_names_from_elsewhere_have_is_not_guessed(tmp_path, make_coco, root):
    file = make_coco(tmp_path, images=("a.png",))
    content = json.loads(file.read_text())
    content["images"] = [
        GOOD | {"id": number, "file_name": f"{root}{folder}/a.png"}
        for number, folder in enumerate(("one", "two"), start=1)
    ]
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert annotated.records == ()
    assert all("missing image" in fault.what for fault in annotated.faults)


def test_a_missing_image_is_none_of_another_split(tmp_path, make_coco, make_image):
    file = make_coco(tmp_path, "annotations/train.json")
    (tmp_path / "images").rename(tmp_path / "train")
    (tmp_path / "train" / "a.png").rename(make_image(tmp_path / "val" / "a.png"))
    annotated = data.read(file)
    assert [record.file_name for record in annotated.records] == ["b.png"]
    (fault,) = annotated.faults
    assert "image 1: missing image 'a.png'" in str(fault)


def test_an_image_may_lie_in_the_folder_of_another_split_that_its_name_says(tmp_path, make_coco):
    file = make_coco(tmp_path, "annotations/val.json", images=("a.png",))
    (tmp_path / "images").rename(tmp_path / "train2017")
    image = {"id": 1, "width": 64, "height": 48, "coco_url": "http://host/train2017/a.png"}
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"images": [image], "annotations": [annotation(1, category=3)]}))
    assert data.read(file).require_sound().records[0].path == tmp_path / "train2017" / "a.png"


def test_links_of_a_set_are_followed(tmp_path, make_coco, make_image):
    outside = make_image(tmp_path / "elsewhere" / "b.png")
    make_coco(tmp_path / "one")
    (tmp_path / "one" / "images" / "b.png").unlink()
    (tmp_path / "one" / "images" / "b.png").symlink_to(outside)
    assert faults(tmp_path / "one") == []

    make_coco(tmp_path / "two")
    (tmp_path / "two" / "images").rename(tmp_path / "disk")
    (tmp_path / "two" / "images").symlink_to(tmp_path / "disk")
    assert faults(tmp_path / "two") == []


def test_images_of_one_file_are_put_together(tmp_path, make_coco):
    file = make_coco(tmp_path)
    content = json.loads(file.read_text())
    for image in content["images"]:
        image["file_name"] = "a.png"
    file.write_text(json.dumps(content))
    annotated = data.read(tmp_path)
    assert [len(record.boxes) for record in annotated.records] == [2]
    assert "1 images are there again, such as 'a.png'" in annotated.notes[0]


def test_a_box_that_is_there_twice_counts_once_and_stops_nobody(tmp_path, make_coco):
    make_coco(tmp_path, annotations=[annotation(number, category=3) for number in (1, 2, 3)])
    annotated = data.read(tmp_path).require_sound()
    assert annotated.records[0].annotation_ids.tolist() == [1]
    (fault,) = annotated.faults
    assert fault.mended
    assert "is there twice or more" in fault.what


@pytest.mark.parametrize(
    ("said", "ignored"),
    [("0", False), ("1", True), ("false", False), ("True", True), (0.0, False), (1.0, True), (True, True)],
)
def test_a_crowd_in_other_words(tmp_path, make_coco, said, ignored):
    make_coco(tmp_path, annotations=[annotation(1, category=3, iscrowd=said)])
    assert data.read(tmp_path).require_sound().records[0].ignore.tolist() == [ignored]


@pytest.mark.parametrize("key", ["ignore", "ignored", "is_ignore", "is_crowd", "difficult"])
def test_words_of_other_tools_for_a_region_to_ignore(tmp_path, make_coco, key):
    make_coco(tmp_path, annotations=[annotation(1, category=3, iscrowd=0, **{key: True})])
    assert data.read(tmp_path).records[0].ignore.tolist() == [True]


@pytest.mark.parametrize(("root", "above"), [("cat", "cat"), ("pets", "pets"), ("_background_", "none")])
def test_a_category_above_others_that_nothing_refers_to_is_no_class(tmp_path, make_coco, root, above):
    categories = [
        {"id": 0, "name": root, "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": above},
        {"id": 7, "name": "dog", "supercategory": above},
    ]
    make_coco(tmp_path, categories=categories)
    annotated = data.read(tmp_path)
    assert (annotated.classes, annotated.category_ids) == (("cat", "dog"), (3, 7))
    assert "nothing refers to category 0, which stands above others: no class" in annotated.notes[0]


ROOT_LIKE_A_CLASS = [
    {"id": 0, "name": "dog", "supercategory": "none"},
    {"id": 3, "name": "cat", "supercategory": "dog"},
    {"id": 7, "name": "dog", "supercategory": "dog"},
]
CLASS_ABOVE = [
    {"id": 3, "name": "vehicle", "supercategory": "thing"},
    {"id": 7, "name": "car", "supercategory": "vehicle"},
]


@pytest.mark.parametrize(
    ("categories", "ids", "missing"), [(ROOT_LIKE_A_CLASS, (3, 7), 7), (CLASS_ABOVE, (3, 7), 3)]
)
def test_splits_that_list_the_same_categories_have_the_same_classes(
    tmp_path, make_coco, categories, ids, missing
):
    make_coco(tmp_path, "train.json", categories=categories)
    make_coco(tmp_path, "val.json", categories=categories, annotations=[annotation(1, category=10 - missing)])
    sets = [data.read(tmp_path, split=split) for split in ("train", "val")]
    assert [annotated.category_ids for annotated in sets] == [ids, ids]


def test_of_categories_of_one_name_one_stays_without_any_object(tmp_path, make_coco):
    file = make_coco(tmp_path, categories=ROOT_LIKE_A_CLASS, annotations=[annotation(1, category=3)])
    assert data.read(file).category_ids == (3, 7)


def test_another_split_that_cannot_be_read_decides_nothing(tmp_path, make_coco):
    categories = [{"id": 0, "name": "pets"}, *ROOT_LIKE_A_CLASS[1:]]
    categories[1]["supercategory"] = "pets"
    make_coco(tmp_path, "train.json", categories=categories)
    (tmp_path / "val.json").write_text('{"images": [')
    assert data.read(tmp_path, split="train").category_ids == (3, 7)


def test_a_category_without_another_above_it_is_a_class_in_every_split(tmp_path, make_coco):
    categories = [
        {"id": 0, "name": "person", "supercategory": "none"},
        {"id": 3, "name": "car", "supercategory": "vehicle"},
        {"id": 7, "name": "bus", "supercategory": "vehicle"},
    ]
    make_coco(tmp_path, categories=categories)  # without persons
    assert data.read(tmp_path).classes == ("person", "car", "bus")


def test_another_category_that_nothing_refers_to_stays_and_is_named(tmp_path, make_coco):
    categories = [{"id": number, "name": name} for number, name in ((3, "cat"), (5, "bird"), (7, "dog"))]
    make_coco(tmp_path, categories=categories)  # a dog and a cat
    annotated = data.read(tmp_path).require_sound()
    assert annotated.classes == ("cat", "bird", "dog")
    assert annotated.notes[0].endswith("nothing refers to 1 of 3 classes (bird): they keep their numbers")


@pytest.mark.parametrize(
    "outline",
    [
        [[10, 10, 16, 10, 16, 16, 10, 16]],
        [10, 10, 16, 10, 16, 16, 10, 16],
        {"size": [48, 64], "counts": [10 * 48 + 10, *[6, 42] * 5, 6, 64 * 48 - 15 * 48 - 16]},
    ],
)
@pytest.mark.parametrize("box", [{}, {"bbox": None}, {"bbox": []}])
def test_a_box_is_taken_from_the_outline(tmp_path, make_coco, outline, box):
    mark = {"id": 1, "image_id": 1, "category_id": 3, "segmentation": outline} | box
    make_coco(tmp_path, annotations=[mark])
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert annotated.records[0].boxes.tolist() == [[10, 10, 16, 16]]


def test_what_marks_nothing_says_that_an_image_is_empty(tmp_path, make_coco):
    nothing = {"id": 2, "image_id": None, "category_id": None, "bbox": [], "segmentation": []}
    make_coco(tmp_path, annotations=[annotation(1, category=3), nothing])
    annotated = data.read(tmp_path)
    assert annotated.faults == ()
    assert [len(record.boxes) for record in annotated.records] == [1, 0]


def test_every_image_serves_a_purpose_that_asks_for_no_marks(tmp_path, make_coco):
    make_coco(tmp_path, annotations=[annotation(9, category=3, box=(NAN, 1, 2, 2))])
    annotated = data.read(tmp_path).every_image().require_sound()
    assert sorted(record.image_id for record in annotated.records) == [1, 2]


def test_no_annotations_and_no_images(tmp_path, make_coco):
    make_coco(tmp_path / "one", annotations=[])
    assert faults(tmp_path / "one")[0].endswith("no annotations at all: nothing is marked in any image")
    assert len(data.read(tmp_path / "one").records) == 2
    make_coco(tmp_path / "two", annotations=[], images=())
    assert faults(tmp_path / "two")[0].endswith("no images at all")


def test_size_that_differs_from_the_file(tmp_path, make_coco, make_image):
    make_coco(tmp_path)
    make_image(tmp_path / "images" / "b.png", (32, 48))
    assert faults(tmp_path) == []
    (fault,) = check_images(data.read(tmp_path)).faults
    assert fault.image_id == 2
    assert "the image is 32 x 48 pixels, its annotations say 64 x 48" in fault.what


def test_ids_may_be_texts(tmp_path, make_coco):
    image = {"id": "x-1", "file_name": "a.png", "width": 64.0, "height": 48}
    make_coco(tmp_path)
    file = make_coco(tmp_path, annotations=[annotation(1, "x-1", 3)])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"images": [image]}))
    (record,) = data.read(tmp_path).records
    assert (record.image_id, record.width, len(record.boxes)) == ("x-1", 64, 1)


def test_drone_swarms_in_their_authors_layout(tmp_path, make_coco):
    for split in ("train", "test"):
        make_coco(tmp_path / split, f"{split}.json")
        (tmp_path / split / "images").rename(tmp_path / split / "JPEGImages")
    assert data.splits(tmp_path) == ("train", "test")
    annotated = data.read(tmp_path, split="test")
    assert (annotated.format, annotated.split, annotated.faults) == ("droneswarms", "test", ())
    assert data.read(tmp_path / "test" / "test.json").format == "droneswarms"


def test_real_data_has_the_counts_of_its_readme(shared):
    counts = {
        "tinyperson": {"train": (110, 7427), "val": (40, 2350)},
        "hituav": {"train": (1949, 17319), "val": (345, 1865)},
    }
    for name, expected in counts.items():
        assert data.splits(shared / "data" / name) == ("train", "val")
        for split, (images, boxes) in expected.items():
            annotated = data.read(shared / "data" / name, split=split).require_sound()
            assert len(annotated.records) == images
            assert sum(len(record.boxes) for record in annotated.records) == boxes
            assert all(np.isfinite(record.boxes).all() for record in annotated.records)
    people = data.read(shared / "data" / "tinyperson", split="train")
    assert people.classes == ("person",)
    assert sum(int(record.ignore.sum()) for record in people.records) == 112
