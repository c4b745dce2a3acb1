"""``srtod evaluate`` as a user types it."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srtod.cli.main import main
from srtod.metrics import METRICS

TRUTH = {
    "images": [{"id": 1, "file_name": "one.png", "width": 64, "height": 64}],
    "categories": [{"id": 3, "name": "drone"}, {"id": 8, "name": "bird"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 6, 6], "area": 36, "iscrowd": 0}
    ],
}
FOUND = [{"image_id": 1, "category_id": 3, "bbox": [10, 10, 6, 6], "score": 0.5}]


@pytest.fixture
def srtod(monkeypatch, capsys):
    """Runs the command line; gives exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["srtod", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return int(stop.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def two_files(tmp_path) -> tuple[str, ...]:
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps(FOUND))
    return ("--annotations", str(tmp_path / "truth.json"), "--detections", str(tmp_path / "found.json"))


@pytest.mark.parametrize("name", ["truth.json", "found.json", "other.json"])
def test_no_file_is_replaced_unasked_and_no_input_ever(srtod, two_files, tmp_path, name):
    (tmp_path / "other.json").write_text("mine")
    before = (tmp_path / name).read_text()
    code, _, err = srtod("evaluate", *two_files, "--json", tmp_path / name)
    assert code == 2 and name in err and (tmp_path / name).read_text() == before
    code, _, err = srtod("evaluate", *two_files, "--json", tmp_path / name, "--overwrite")
    assert code == (0 if name == "other.json" else 2)
    assert ("AP" in (tmp_path / name).read_text()) == (name == "other.json")


@pytest.fixture
def dataset(tmp_path) -> Path:
    folder = tmp_path / "set"
    (folder / "images" / "val").mkdir(parents=True)
    (folder / "annotations").mkdir()
    (folder / "annotations" / "val.json").write_text(json.dumps(TRUTH))
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "images" / "val" / "one.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    import torch

    from srtod.detectors.zoo import build_detector

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    build_detector(
        "faster-rcnn", classes=("bird", "drone"), backbone="mobilenetv2_100", score_threshold=0.0
    ).save(path)
    return path


def test_two_files(srtod, two_files, tmp_path):
    code, out, _ = srtod("evaluate", *two_files, "--json", tmp_path / "metrics.json")
    value = json.loads((tmp_path / "metrics.json").read_text())

    assert code == 0
    assert set(value) == {*METRICS, "per_class", "images", "detections_per_image"}
    assert value["AP"] == pytest.approx(1.0)
    assert value["APm"] == -1.0
    assert value["detections_per_image"] == 1500
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert ["class", *METRICS] in lines
    assert ["drone", "1.000", "1.000", "1.000", "1.000", "-", "-", "-", "1.000"] in lines
    assert ["bird", *"--------"] in lines
    assert "no object of that size" in " ".join(out.split())


@pytest.mark.parametrize("option", ["--json", "--save-detections"])
def test_a_file_that_cannot_be_written_is_told_before_any_work(
    srtod, dataset, weights, tmp_path, monkeypatch, option
):
    monkeypatch.setattr("srtod.inference.load_finder", lambda *_, **__: pytest.fail("loaded"))
    code, out, err = srtod("evaluate", dataset, "--weights", weights, option, tmp_path)

    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path}: is a folder; name a file, in it or elsewhere\n"


def test_detections_per_image(srtod, two_files, tmp_path):
    code, _, _ = srtod("evaluate", *two_files, "--detections-per-image", "7", "--json", tmp_path / "m.json")

    assert code == 0
    assert json.loads((tmp_path / "m.json").read_text())["detections_per_image"] == 7


def test_weights_on_data(srtod, dataset, weights, tmp_path):
    code, out, _ = srtod(
        "evaluate",
        dataset,
        "--weights",
        weights,
        "--save-detections",
        tmp_path / "found.json",
        "--device",
        "cpu",
    )
    found = json.loads((tmp_path / "found.json").read_text())

    assert code == 0
    assert "images: 1" in out
    assert found
    assert {result["category_name"] for result in found} <= {"drone", "bird"}
    assert {(result["category_name"], result["category_id"]) for result in found} <= {
        ("drone", 3),
        ("bird", 8),
    }


def test_slices_with_metrics_on_whole_images(srtod, dataset, weights, tmp_path):
    places = (dataset, "--weights", weights, "--save-detections", tmp_path / "found.json", "--device", "cpu")
    code, out, _ = srtod("evaluate", *places, "--slice", 32, "--overlap", 0.5, "--batch-size", 3)
    found = json.loads((tmp_path / "found.json").read_text())

    assert code == 0
    assert "images: 1" in out
    assert max(result["bbox"][0] for result in found) > 32
    assert max(result["bbox"][2] for result in found) <= 64


def test_slices_that_are_looked_at_again(srtod, dataset, weights):
    given = (dataset, "--weights", weights, "--device", "cpu", "--slice", 32, "--focus", 0.5)
    code, out, _ = srtod("evaluate", *given, "--focus-by", "high-pass")
    assert code == 0 and "images: 1" in out


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--weights", "w.safetensors"],
        ["--annotations", "a.json"],
        ["--detections", "d.json"],
        ["DATA", "--weights", "w.safetensors", "--detections", "d.json"],
    ],
)
def test_neither_one_nor_the_other(srtod, given):
    code, out, err = srtod("evaluate", *given)

    assert code == 2
    assert out == ""
    assert err == "error: evaluate what? give DATA, or --annotations and --detections\n"


@pytest.mark.parametrize(
    "extra",
    [
        ["DATA"],
        ["--weights", "w.safetensors"],
        ["--split", "val"],
        ["--format", "coco"],
        ["--device", "auto"],
        ["--batch-size", "1"],
        ["--save-detections", "d.json"],
        ["--slice", "64"],
        ["--full-image"],
    ],
)
def test_options_of_weights_do_not_go_with_two_files(srtod, two_files, extra):
    code, out, err = srtod("evaluate", *two_files, *extra)

    assert code == 2
    assert out == ""
    assert err == (
        f"error: {extra[0]} does not go with --annotations and --detections; leave one or the other out\n"
    )


@pytest.mark.parametrize("option", ["--batch-size", "--detections-per-image"])
def test_numbers_below_one(srtod, two_files, option):
    code, _, err = srtod("evaluate", *two_files, option, "0")

    assert code == 2
    assert option in err


def test_bad_files_leave_nothing_behind(srtod, two_files, tmp_path):
    Path(two_files[3]).write_text(json.dumps([FOUND[0] | {"score": float("nan")}]))
    code, out, err = srtod("evaluate", *two_files, "--json", tmp_path / "metrics.json")

    assert code == 2
    assert out == ""
    assert err == f"error: {two_files[3]}: detection 0 (image_id 1): score nan is not a finite number\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json", "truth.json"]


def test_metrics_that_cannot_be_written(srtod, two_files, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = srtod("evaluate", *two_files, "--json", tmp_path / "file" / "metrics.json")

    assert code == 2
    assert out == ""
    assert "cannot be written" in err


def test_more_classes_than_the_weights(srtod, dataset, weights):
    annotations = dataset / "annotations" / "val.json"
    annotations.write_text(
        json.dumps(TRUTH | {"categories": [*TRUTH["categories"], {"id": 9, "name": "kite"}]})
    )
    code, _, err = srtod("evaluate", dataset, "--weights", weights)

    assert code == 0
    unused, unknown = err.strip().splitlines()
    assert "nothing refers to 2 of 3 classes" in unused
    assert "the weights do not know kite: evaluated on the other classes" in unknown


def test_missing_weights_and_missing_data(srtod, dataset, weights, tmp_path):
    for arguments in (
        (dataset, "--weights", tmp_path / "no.safetensors"),
        (tmp_path / "no", "--weights", weights),
    ):
        code, _, err = srtod("evaluate", *arguments)

        assert code == 2
        assert str(tmp_path / "no") in err
        assert len(err.strip().splitlines()) == 1


def test_an_unknown_split(srtod, dataset, weights):
    code, _, err = srtod("evaluate", dataset, "--weights", weights, "--split", "vla")

    assert code == 2
    assert "no split 'vla'" in err


def test_a_report_of_weights_agrees_with_the_table_and_holds_what_others_are_compared_with(
    srtod, dataset, weights, tmp_path
):
    given = (dataset, "--weights", weights, "--device", "cpu")
    code, out, _ = srtod("evaluate", *given, "--report", tmp_path / "r", "--json", tmp_path / "m.json")
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    page = (tmp_path / "r" / "report.html").read_text()

    assert code == 0 and "AP50 lost to errors" in " ".join(out.split())
    assert report["metrics"] == json.loads((tmp_path / "m.json").read_text())
    assert report["by_size"]["all"]["AP50"] == pytest.approx(report["metrics"]["AP50"])
    assert (dataset / "images" / "val" / "one.png").as_uri() in page
    assert "<script" not in page and 'src="http' not in page

    code, out, _ = srtod("evaluate", *given, "--against", tmp_path / "r")
    assert code == 0 and "this run - other run" in out
    again = srtod("evaluate", *given, "--report", tmp_path / "r")
    assert again[0] == 2 and "not an empty folder" in again[2]


def test_a_report_of_files_has_pictures_where_the_images_are_found(srtod, two_files, tmp_path):
    found = [FOUND[0] | {"bbox": [30, 30, 6, 6]}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    code, _, err = srtod("evaluate", *two_files, "--report", tmp_path / "without")
    assert code == 0 and "are not found beside it" in err
    assert '<h2 id="worst">' not in (tmp_path / "without" / "report.html").read_text()

    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "one.png")
    code, _, err = srtod("evaluate", *two_files, "--report", tmp_path / "with")
    page = (tmp_path / "with" / "report.html").read_text()
    assert code == 0 and "not found beside" not in err
    assert "one.png: 1 missed, 1 false alarms" in page and page.count('<figure><a href="file://') == 2


@pytest.mark.parametrize("nothing", ["found", "there"])
def test_a_report_of_nothing_found_and_of_nothing_there(srtod, two_files, tmp_path, nothing):
    if nothing == "found":
        (tmp_path / "found.json").write_text("[]")
    else:
        (tmp_path / "truth.json").write_text(json.dumps(TRUTH | {"annotations": []}))
    code, _, _ = srtod("evaluate", *two_files, "--report", tmp_path / "r")
    point = json.loads((tmp_path / "r" / "report.json").read_text())["operating_point"]
    assert code == 0 and (tmp_path / "r" / "report.html").is_file()
    expected = (1, 0.0) if nothing == "found" else (0, 1.0)
    assert (point["missed"], point["false_alarms_per_image"]) == expected


def test_another_run_is_compared_image_by_image(srtod, two_files, tmp_path):
    (tmp_path / "other.json").write_text("[]")
    code, out, _ = srtod(
        "evaluate", *two_files, "--against", tmp_path / "other.json", "--report", tmp_path / "r"
    )
    rows = json.loads((tmp_path / "r" / "report.json").read_text())["compared"]
    assert code == 0 and "100.0 [100.0, 100.0]" in out
    better = rows["this run - other run"]["AP50"]
    assert [better["value"], *better["interval"]] == pytest.approx([1, 1, 1])

    code, _, err = srtod("evaluate", *two_files, "--against", tmp_path)
    assert code == 2 and err.startswith(f"error: --against {tmp_path}: no detections.json there")


def test_calibrating_writes_the_scores_into_the_weights(srtod, dataset, weights, tmp_path):
    from srtod.detectors.zoo import load

    own = Path(shutil.copy(weights, tmp_path / "own.safetensors"))
    given = (dataset, "--weights", own, "--device", "cpu")
    plain = srtod("evaluate", *given)[1]
    code, out, err = srtod("evaluate", *given, "--calibrate", "false-alarms=2")
    point = load(own).config["operating_point"]

    assert code == 0 and "take these scores from now on" in out
    assert "bird: no object to choose by; the former score stays" in err
    assert point["rule"] == "false-alarms=2"
    bird, drone = point["thresholds"]
    assert bird == 0.0 and 0 < drone < 1  # without a bird in the data all that is found counts
    assert plain in srtod("evaluate", *given)[1]  # measured is all that is found, as before

    code, _, err = srtod("predict", dataset / "images", "--weights", own, "--output", tmp_path / "found")
    found = json.loads((tmp_path / "found" / "detections.json").read_text())
    scores = [one["score"] for one in found if one["category_name"] == "drone"]
    assert code == 0 and "false-alarms=2" in err
    assert scores and min(scores) >= drone and len(scores) <= 3


@pytest.mark.parametrize(
    ("weights_given", "rule", "reason"),
    [
        ("drones", "best-f1", "only a .safetensors file of yours"),
        ("x.onnx", "best-f1", "only a .safetensors file of yours"),
        ("own", "best", "use best-f1, recall=0.9 or false-alarms=1"),
        ("own", "best-f1=2", "use best-f1, recall=0.9 or false-alarms=1"),
        ("own", "recall=2", "a recall is 0 to 1"),
        ("own", "recall=nan", "a recall is 0 to 1"),
        ("own", "false-alarms", "use best-f1, recall=0.9 or false-alarms=1"),
    ],
)
def test_what_cannot_be_calibrated_is_told_before_any_work(
    srtod, dataset, weights, monkeypatch, weights_given, rule, reason
):
    monkeypatch.setattr("srtod.inference.load_finder", lambda *_, **__: pytest.fail("loaded"))
    own = weights if weights_given == "own" else weights_given
    code, out, err = srtod("evaluate", dataset, "--weights", own, "--calibrate", rule)
    assert (code, out) == (2, "") and reason in err


@pytest.mark.parametrize("marked", [{"iscrowd": 1}, {"category_id": 9}])
def test_data_without_objects_calibrate_nothing(srtod, dataset, weights, tmp_path, marked):
    own = Path(shutil.copy(weights, tmp_path / "own.safetensors"))
    (annotation,) = TRUTH["annotations"]
    kinds = [*TRUTH["categories"], {"id": 9, "name": "kite"}]
    content = {**TRUTH, "categories": kinds, "annotations": [annotation | marked]}
    (dataset / "annotations" / "val.json").write_text(json.dumps(content))
    code, out, err = srtod("evaluate", dataset, "--weights", own, "--calibrate", "best-f1", "--device", "cpu")
    assert (code, out) == (2, "")
    assert "no object of a class of the weights is marked" in err
    assert own.read_bytes() == weights.read_bytes()


def test_calibrating_is_about_weights(srtod, two_files):
    code, _, err = srtod("evaluate", *two_files, "--calibrate", "best-f1")
    assert code == 2 and "--calibrate does not go with --annotations" in err
