"""The metrics of two JSON files, and what is wrong with files."""

import contextlib
import copy
import gc
import io
import json
import re

import pytest

from srtod.metrics import evaluate_files
from srtod.support.errors import InputError


def test_the_numbers_of_a_small_case(files, truth, results):
    metrics = evaluate_files(*files.write(truth, results))

    assert list(metrics.per_class) == ["drone", "bird"]  # ascending category ids
    assert metrics.per_class["drone"]["AP"] == pytest.approx(1.0)
    assert metrics.per_class["bird"]["AP"] == 0.0
    assert metrics.summary["AP"] == pytest.approx(0.5)
    assert metrics.summary["APm"] == -1.0
    assert metrics.images == 2


def test_what_is_wrong_in_two_files_can_be_left_out_and_is_told(files, truth, results):
    expected = evaluate_files(*files.write(truth, results)).summary
    truth["annotations"] += [{**truth["annotations"][0], "id": 90, "bbox": [1, 2, -3, 4]}]
    results += [{**results[0], "score": None}, {**results[0], "image_id": 77}]
    paths = files.write(truth, results)
    with pytest.raises(InputError, match="negative width or height"):
        evaluate_files(*paths)
    metrics = evaluate_files(*paths, skip_bad=True)
    assert metrics.summary == expected
    first, second = metrics.notes
    assert "left out" in first and "negative width or height" in first
    assert "score None is not a number" in second and "1 more detections are wrong" in second


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (lambda x, y, w, h: [x, y, x + w, y + h], ("look like x1 y1 x2 y2",)),
        (lambda x, y, w, h: [x / 1e4, y / 1e4, w / 1e4, h / 1e4], ("look like shares of the image",)),
        (lambda *box: list(box), ()),
    ],
)
def test_boxes_of_another_form_are_told(benchmark, files, changed, says):
    truth, results = benchmark.scenes(images=5, objects=40, detections=0, classes=1, seed=0)
    results = [{**own, "score": 0.9, "bbox": changed(*own["bbox"])} for own in truth["annotations"]]
    notes = evaluate_files(*files.write(truth, results)).notes
    assert len(notes) == len(says)
    assert all(words in note for words, note in zip(says, notes, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_pycocotools(benchmark, files, seed):
    truth, results = benchmark.scenes(images=5, objects=40, detections=100, classes=3, seed=seed)
    for entry in [*truth["annotations"], *results]:  # ids with gaps, in another order
        entry["category_id"] = {1: 17, 2: 5, 3: 90}[entry["category_id"]]
    for category, number in zip(truth["categories"], (17, 5, 90), strict=True):
        category["id"] = number
    for entry in [*truth["annotations"], *results]:
        entry["image_id"] = 100 - 7 * entry["image_id"]
    for image in truth["images"]:
        image["id"] = 100 - 7 * image["id"]
    paths = files.write(truth, results)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = benchmark.referee_of_files(*paths)

    assert benchmark.largest_difference(evaluate_files(*paths).to_json(), theirs) <= 1e-9


def test_equal_to_pycocotools_with_few_detections_per_image(benchmark, files):
    paths = files.write(*benchmark.scenes(images=5, objects=40, detections=100, classes=2, seed=3))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = benchmark.referee_of_files(*paths, detections_per_image=10)
    ours = evaluate_files(*paths, detections_per_image=10)

    assert benchmark.largest_difference(ours.to_json(), theirs) <= 1e-9
    assert ours.detections_per_image == 10


def test_an_annotation_id_of_zero_can_be_found(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    for annotation in truth["annotations"]:
        annotation["id"] -= 1

    assert evaluate_files(*files.write(truth, results)) == right


def test_missing_area_and_iscrowd(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    for annotation in truth["annotations"]:
        del annotation["area"]
        if not annotation["iscrowd"]:
            del annotation["iscrowd"]

    assert evaluate_files(*files.write(truth, results)) == right


def test_the_area_of_a_segmentation_decides_the_bin(files, truth, results):
    truth["annotations"][2]["area"] = 20

    assert evaluate_files(*files.write(truth, results)).summary["APt"] == -1.0


def test_no_detections(files, truth):
    assert evaluate_files(*files.write(truth, [])).summary["AP"] == 0.0


def test_no_annotations(files, truth, results):
    metrics = evaluate_files(*files.write(truth | {"annotations": []}, results))

    assert set(metrics.summary.values()) == {-1.0}


def test_images_by_file_name_and_classes_by_name(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    names = {7: "a.png", 3: "b.png"}
    by_name = [
        {"file_name": names[r["image_id"]], "category_name": "drone", "bbox": r["bbox"], "score": r["score"]}
        for r in results
    ]
    own_numbers = [entry | {"image_id": 1000 + i, "category_id": 1} for i, entry in enumerate(by_name)]
    some = [by_name[0], *results[1:]]

    for variant in (by_name, own_numbers, some):
        assert evaluate_files(*files.write(truth, variant)) == right


def test_a_box_of_zero_size_is_a_detection_that_finds_nothing(files, truth, results):
    results[1]["bbox"] = [30, 30, 0, 12]

    assert evaluate_files(*files.write(truth, results)).per_class["drone"]["AP"] < 1.0


def test_the_garbage_collector_goes_on(files, truth, results):
    evaluate_files(*files.write(truth, results))

    assert gc.isenabled()
    with pytest.raises(InputError):
        evaluate_files(*files.write(truth, "nonsense"))
    assert gc.isenabled()


LACKS = object()


def changed(value, path, new):
    """A copy of a JSON value with ``new`` at ``path``."""
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    if new is LACKS:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return value


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ((1, "image_id"), 99, "detection 1 (image_id 99): image_id 99 is not known in "),
        ((1, "image_id"), "4", "image_id '4' is not known in "),
        ((1, "image_id"), [3], "image_id [3] is not known in "),
        ((1, "image_id"), LACKS, "detection 1: lacks the key 'image_id'"),
        ((0, "category_id"), LACKS, "detection 0 (image_id 7): lacks the key 'category_id'"),
        ((0, "category_id"), None, "category_id None is not known in "),
        ((0, "file_name"), "c.png", "file_name 'c.png' is not known in "),
        ((0, "category_name"), "drones", "(did you mean 'drone'?)"),
        ((0, "score"), float("nan"), "detection 0 (image_id 7): score nan is not a finite number"),
        ((0, "score"), float("inf"), "score inf is not a finite number"),
        ((0, "score"), 10**400, "is not a finite number"),
        ((0, "bbox"), [1, 1, 10**400, 2], "is not finite"),
        ((0, "score"), "0.9", "score '0.9' is not a number"),
        ((0, "score"), None, "score None is not a number"),
        ((0, "score"), True, "score True is not a number"),
        ((0, "score"), LACKS, "lacks the key 'score'"),
        (
            (2, "bbox"),
            [1, 2, -3, 4],
            "detection 2 (image_id 3): bbox [1, 2, -3, 4] has a negative width or height",
        ),
        ((2, "bbox"), [1, 2, 3, float("nan")], "bbox [1, 2, 3, nan] is not finite"),
        ((2, "bbox"), [1, 2, 3], "bbox [1, 2, 3] is not a list of four numbers (x, y, width, height)"),
        ((2, "bbox"), [1, 2, 3, "4"], "bbox [1, 2, 3, '4'] is not a list of four numbers"),
        ((2, "bbox"), {"x": 1}, "is not a list of four numbers"),
        ((2, "bbox"), "abcd", "bbox 'abcd' is not a list of four numbers"),
        ((2, "bbox"), LACKS, "lacks the key 'bbox'"),
        ((1,), 5, "detection 1: 5 is not an object"),
    ],
)
def test_unsound_detections(files, truth, results, path, new, message):
    paths = files.write(truth, changed(results, path, new))
    with pytest.raises(InputError, match=re.escape(message)) as error:
        evaluate_files(*paths)

    assert str(error.value).startswith(f"{paths[1]}: detection {path[0]}")
    assert "\n" not in str(error.value)


def test_detections_of_a_class_that_the_truth_lacks_are_left_out_and_told(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    others = [results[0] | {"category_id": 5}, results[0] | {"category_name": "zeppelin"}]
    annotations, detections = files.write(truth, results + others)
    metrics = evaluate_files(annotations, detections)

    assert metrics.summary == right.summary
    assert metrics.notes == (
        f"{detections}: left out 1 of category_id 5: there is no such class in {annotations}",
        f"{detections}: left out 1 of category_name 'zeppelin': there is no such class in {annotations}",
    )


def test_detections_of_unknown_classes_alone_are_refused(files, truth, results):
    paths = files.write(truth, [entry | {"category_id": 5} for entry in results])
    with pytest.raises(InputError, match=r"category_id 5 is not known in .*; known are 4, 90"):
        evaluate_files(*paths)


def official(truth):
    """What official files have and training would refuse: no sizes, a box without width, a box outside."""
    for image in truth["images"]:
        del image["width"], image["height"], image["file_name"]
    for entry, box in zip(truth["annotations"], ([1, 4, 0, 16], [90, 90, 40, 40]), strict=False):
        entry["bbox"] = box
        entry["area"] = box[2] * box[3]
    for entry in truth["annotations"]:
        entry["id"] += 100
        entry["segmentation"] = []


def test_equal_to_pycocotools_on_what_training_would_refuse(benchmark, files, truth, results):
    official(truth)
    results[0]["bbox"] = [88, 91, 41, 39]
    paths = files.write(truth, results)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = benchmark.referee_of_files(*paths)

    assert 0 < theirs["AP"] < 1
    assert benchmark.largest_difference(evaluate_files(*paths).to_json(), theirs) == 0.0


def test_a_test_set_without_the_list_of_annotations(files, truth, results):
    del truth["annotations"]

    assert evaluate_files(*files.write(truth, results)).summary["AP"] == -1.0


def test_texts_stand_for_numbers(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    texts = [
        entry | {"image_id": str(entry["image_id"]), "category_id": str(entry["category_id"])}
        for entry in results
    ]

    assert evaluate_files(*files.write(truth, texts)) == right


def test_ids_of_annotations_do_not_matter(files, truth, results):
    right = evaluate_files(*files.write(truth, results))
    for entry in truth["annotations"]:
        entry["id"] = 1

    assert evaluate_files(*files.write(truth, results)) == right


def test_a_file_name_of_several_images_is_told(files, truth, results):
    for image in truth["images"]:
        image["file_name"] = "a.png"
    results[0]["file_name"] = "a.png"
    with pytest.raises(InputError, match=r"file_name 'a\.png' is there several times in .*; give an id"):
        evaluate_files(*files.write(truth, results))


def test_a_key_that_is_nearly_right_is_suggested(files, truth, results):
    results[0]["scores"] = results[0].pop("score")
    with pytest.raises(InputError, match=r"lacks the key 'score' \(did you mean 'scores'\?\)"):
        evaluate_files(*files.write(truth, results))


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (
            ("annotations", 2, "bbox"),
            [1, 2, -3, 4],
            "annotation 2 (id 3, image_id 3): bbox [1, 2, -3, 4] has a negative",
        ),
        (("annotations", 2, "bbox"), [1, 2, 3, float("inf")], "bbox [1, 2, 3, inf] is not finite"),
        (("annotations", 2, "bbox"), LACKS, "annotation 2 (id 3, image_id 3): lacks the key 'bbox'"),
        (
            ("annotations", 2, "image_id"),
            8,
            "annotation 2 (id 3, image_id 8): image_id 8 is not known in its images",
        ),
        (
            ("annotations", 2, "category_id"),
            5,
            "category_id 5 is not known in its categories; known are 4, 90",
        ),
        (("annotations", 2, "category_id"), LACKS, "lacks the key 'category_id'"),
        (("annotations", 2, "area"), -1, "area -1 is negative"),
        (("annotations", 2, "area"), "big", "area 'big' is not a number"),
        (("annotations", 2, "area"), float("nan"), "area nan is not a finite number"),
        (("annotations", 2, "iscrowd"), 2, "iscrowd 2 is neither 0 nor 1"),
        (("annotations", 2, "iscrowd"), "no", "iscrowd 'no' is neither 0 nor 1"),
        (("annotations", 2), None, "annotation 2: None is not an object"),
        (("images", 1, "id"), 7, "image 1 (id 7): id 7 is there twice; give every image its own"),
        (("images", 1, "id"), 3.5, "image 1 (id 3.5): id 3.5 is neither a whole number nor a string"),
        (("images", 1, "id"), LACKS, "image 1: lacks the key 'id'"),
        (("categories", 1, "id"), 90, "category 1 (id 90): id 90 is there twice"),
        (("categories", 1, "name"), "bird", "name 'bird' is there twice; give every category its own"),
        (("categories", 1, "name"), LACKS, "category 1 (id 4): lacks the key 'name'"),
        (("images",), LACKS, "not a COCO annotation file: there is no list 'images'"),
        (("annotations",), {}, "not a COCO annotation file: there is no list 'annotations'"),
        (("categories",), LACKS, "not a COCO annotation file: there is no list 'categories'"),
    ],
)
def test_unsound_annotations(files, truth, results, path, new, message):
    paths = files.write(changed(truth, path, new), results)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        evaluate_files(*paths)

    assert str(error.value).startswith(f"{paths[0]}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"image_id": 7,', "not valid JSON at line 1, column"),
        ("", "not valid JSON at line 1, column 1"),
        ("\x89PNG", "not valid JSON"),
        (
            '{"images": [], "annotations": []}',
            "not COCO results: a list of detections is needed, not an object with",
        ),
        ("17", "not COCO results: a list of detections is needed, not 17"),
    ],
)
def test_broken_or_foreign_detection_files(files, truth, text, message):
    paths = files.write(truth, text)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        evaluate_files(*paths)

    assert str(error.value).startswith(f"{paths[1]}: ")


def test_exchanged_files_are_noticed(files, truth, results):
    with pytest.raises(InputError, match="are annotations and detections exchanged"):
        evaluate_files(*files.write(results, truth))


def test_missing_files(files, truth, results, tmp_path):
    annotations, detections = files.write(truth, results)
    for pair in ((tmp_path / "no.json", detections), (annotations, tmp_path / "no.json")):
        with pytest.raises(InputError, match=r"no\.json: cannot be read: No such file or directory"):
            evaluate_files(*pair)


def test_a_file_that_is_not_text(files, truth, results):
    annotations, detections = files.write(truth, results)
    detections.write_bytes(json.dumps(results).encode("utf-16"))
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        evaluate_files(annotations, detections)
