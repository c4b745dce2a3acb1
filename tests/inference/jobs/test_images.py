import json

import numpy as np
import pytest
from PIL import Image

from srtod.data import ImageRecord
from srtod.inference import ImageFile, Slicing, collect_images, load_detector, predict
from srtod.inference.jobs import JobOptions, predict_images
from srtod.support.errors import InputError


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_results_are_coco_results_and_pictures_lie_beside(detector, tmp_path, write_image):
    write_image(tmp_path / "in" / "day" / "a.jpg", width=64)
    write_image(tmp_path / "in" / "night" / "a.jpg", width=80)
    images = collect_images([tmp_path / "in"])
    done = predict_images(detector, images, tmp_path / "out", JobOptions(picture_score=0.0))
    results = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert done.images == 2 and done.skipped == () and done.detections == len(results) > 0
    assert {(row["image_id"], row["file_name"]) for row in results} == {(1, "day/a.jpg"), (2, "night/a.jpg")}
    assert {(row["category_id"], row["category_name"]) for row in results} <= {(1, "drone"), (2, "bird")}
    (first, _) = predict([image.path for image in images], detector)
    rows = [row for row in results if row["image_id"] == 1]
    corners = np.array([row["bbox"] for row in rows])
    corners[:, 2:] += corners[:, :2]
    assert corners == pytest.approx(first.boxes, abs=2e-4)
    assert [row["score"] for row in rows] == pytest.approx(first.scores, abs=1e-6)
    pictures = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert pictures == ["pictures/day/a.png", "pictures/night/a.png"]
    assert Image.open(tmp_path / "out" / pictures[0]).width == 64 * 20


def test_names_that_differ_in_their_ending_only_get_two_pictures(detector, tmp_path, write_image):
    for name in ("a.jpg", "a.png"):
        write_image(tmp_path / "in" / name)
    predict_images(detector, collect_images([tmp_path / "in"]), tmp_path / "out")
    assert listed(tmp_path / "out" / "pictures") == ["a.jpg.png", "a.png.png"]


def test_without_pictures_there_is_one_file(detector, tmp_path, write_image):
    write_image(tmp_path / "a.jpg")
    predict_images(
        detector, collect_images([tmp_path / "a.jpg"]), tmp_path / "out", JobOptions(pictures=False)
    )
    assert listed(tmp_path / "out") == ["detections.json", "job.json"]


def test_nothing_found_is_an_empty_list(detector, tmp_path, write_image):
    write_image(tmp_path / "a.jpg")
    detector.save(tmp_path / "w.safetensors")
    strict = load_detector(tmp_path / "w.safetensors", device="cpu", score_threshold=1.0)
    predict_images(strict, collect_images([tmp_path / "a.jpg"]), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "detections.json").read_text()) == []


def test_a_bad_image_is_told_or_left_out(detector, tmp_path, write_image):
    write_image(tmp_path / "in" / "b.jpg")
    (tmp_path / "in" / "a.jpg").write_bytes(b"")
    images = collect_images([tmp_path / "in"])
    with pytest.raises(InputError, match=r"a\.jpg: empty file .*the image$"):
        predict_images(detector, images, tmp_path / "out")
    assert listed(tmp_path) == ["in"]  # nothing was finished
    done = predict_images(detector, images, tmp_path / "out", JobOptions(skip_bad=True))
    assert done.images == 1 and len(done.skipped) == 1 and "a.jpg" in done.skipped[0]


def test_if_every_image_is_bad_that_is_an_error(detector, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="none of the 1 images"):
        predict_images(
            detector, collect_images([tmp_path / "b.jpg"]), tmp_path / "out", JobOptions(skip_bad=True)
        )
    assert not (tmp_path / "out").exists()


def test_inputs_are_never_overwritten(detector, tmp_path, write_image):
    path = write_image(tmp_path / "in" / "a.png")
    before = path.read_bytes()
    with pytest.raises(InputError, match="not an empty folder"):
        predict_images(detector, collect_images([path]), tmp_path / "in")
    assert path.read_bytes() == before and listed(tmp_path / "in") == ["a.png"]


def test_ground_truth_is_drawn(detector, tmp_path, write_image):
    path = write_image(tmp_path / "a.png")
    record = ImageRecord(
        image_id="a",
        file_name="a.png",
        path=path,
        width=64,
        height=48,
        boxes=np.array([[10.0, 10.0, 16.0, 16.0], [30.0, 5.0, 60.0, 40.0]]),
        labels=np.array([0, -1]),
        ignore=np.array([False, True]),
        annotation_ids=np.array([1, 2]),
    )
    for name, known in (("plain", None), ("marked", record)):
        image = ImageFile(path, "a.png", "a", known)
        predict_images(detector, [image], tmp_path / name, JobOptions(picture_score=1.0))
    plain, marked = (np.asarray(Image.open(tmp_path / n / "pictures" / "a.png")) for n in ("plain", "marked"))
    height = 48 * 20
    changed = (plain[-height:] != marked[-height:]).any(axis=2)
    assert changed[5 * 20 : 40 * 20, 30 * 20 : 60 * 20].mean() > 0.9
    assert (marked[-height:][~(plain[-height:] == 255).all(axis=2) & changed] == 255).all(axis=1).any()


def test_slices_of_an_image_of_any_size(tmp_path, monkeypatch, picture, sees_all, capsys):
    boxes = [(60, 20, 68, 28), (190, 90, 200, 99), (5, 5, 9, 9)]
    Image.fromarray(picture((210, 130), boxes)).save(tmp_path / "a.tif")
    images = collect_images([tmp_path / "a.tif"])
    found = []
    for name, most in (("whole", 10**6), ("bands", 100)):
        monkeypatch.setattr("srtod.data.images.MAX_PIXELS", most)
        predict_images(
            sees_all(), images, tmp_path / name, JobOptions(slicing=Slicing(64, 0.25), batch_size=3)
        )
        assert "slices of a.tif" in capsys.readouterr().err
        rows = json.loads((tmp_path / name / "detections.json").read_text())
        found.append(sorted(tuple(row["bbox"]) for row in rows))
        assert (tmp_path / name / "pictures" / "a.png").is_file()
    assert found == [sorted((x, y, right - x, bottom - y) for x, y, right, bottom in boxes)] * 2
    whole, bands = (Image.open(tmp_path / name / "pictures" / "a.png") for name in ("whole", "bands"))
    assert (np.asarray(whole) == np.asarray(bands)).all()


def test_a_large_image_is_refused_whole_and_taken_in_slices(tmp_path, monkeypatch, picture, sees_all):
    Image.fromarray(picture((210, 130), [])).save(tmp_path / "a.png")
    images = collect_images([tmp_path / "a.png"])
    monkeypatch.setattr("srtod.data.images.MAX_PIXELS", 100)
    with pytest.raises(InputError, match=r"a\.png: more than .*srtod predict --slice"):
        predict_images(sees_all(), images, tmp_path / "out")
    done = predict_images(sees_all(), images, tmp_path / "out", JobOptions(slicing=Slicing(64, 0.25)))
    assert (done.images, done.detections) == (1, 0)
