"""``srtod evaluate`` as a user types it."""

import json
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
