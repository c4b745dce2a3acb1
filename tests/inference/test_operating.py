"""Weights that were calibrated give what counts, class by class, wherever objects are to be found."""

import pytest
import torch
from safetensors import safe_open

import srtod
from srtod.detectors.weights import METADATA_KEY, calibrate_weights
from srtod.inference import load_finder
from srtod.inference.exporting import export_weights
from srtod.support.errors import InputError


@pytest.fixture
def every(detector, write_image, tmp_path):
    """What the detector finds in an image without a limit."""
    path = write_image(tmp_path / "a.png")
    (found,) = srtod.predict(path, detector)
    return path, found


@pytest.fixture
def calibrated(detector, every, tmp_path):
    """Weights with limits between the scores, another for each class, and which detections reach them."""
    _, found = every
    limits = [float(found.scores[found.labels == label].mean()) for label in (0, 1)]
    path = tmp_path / "w.safetensors"
    detector.save(path)
    calibrate_weights(path, "best-f1", dict(zip(("drone", "bird"), limits, strict=True)))
    kept = found.scores >= torch.tensor(limits).numpy()[found.labels]
    assert 0 < kept.sum() < len(kept)
    return path, int(kept.sum())


def test_calibrating_changes_nothing_else_in_the_file(detector, calibrated):
    path, _ = calibrated
    again = srtod.load(path)
    state = again.state_dict()
    assert all(torch.equal(values, state[name]) for name, values in detector.state_dict().items())
    assert again.config | {"operating_point": None} == detector.config


def test_half_precision_stays_half(detector, tmp_path):
    path = tmp_path / "half.safetensors"
    detector.save(path, half=True)
    calibrate_weights(path, "best-f1", {"drone": 0.5})
    assert srtod.load(path).config["operating_point"]["thresholds"] == [0.5, 0.0]  # of the other as trained
    with safe_open(path, framework="pt") as file:
        kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert kinds <= {"F16", "I64"} and "F16" in kinds


def test_classes_without_a_new_score_keep_theirs(detector, tmp_path):
    path = tmp_path / "w.safetensors"
    detector.save(path)
    assert calibrate_weights(path, "best-f1", {"drone": 0.5, "bird": 0.25}) == ()
    assert calibrate_weights(path, "recall=0.9", {"drone": 0.75}) == ("bird",)
    assert srtod.load(path).config["operating_point"] == {"rule": "recall=0.9", "thresholds": [0.75, 0.25]}


def test_predicting_keeps_what_counts_and_says_so(calibrated, every, capsys):
    (path, kept), (image, found) = calibrated, every
    assert [len(own.boxes) for own in srtod.predict(image, path, device="cpu")] == [kept]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "best-f1" in said and "bird 0." in said
    assert [len(own.boxes) for own in srtod.load(path).predict(image)] == [kept]
    assert [len(own.boxes) for own in srtod.predict(image, path, score_threshold=0.0)] == [len(found.boxes)]
    assert [len(own.boxes) for own in srtod.load(path).predict(image, score_threshold=0.0)] == [
        len(found.boxes)
    ]
    assert capsys.readouterr().err == ""


def test_what_is_measured_is_all_that_is_found(calibrated, every, capsys):
    (path, _), (image, found) = calibrated, every
    (own,) = srtod.predict(image, load_finder(path, device="cpu", calibrated=False), score_threshold=0.0)
    assert len(own.boxes) == len(found.boxes) and capsys.readouterr().err == ""


def test_saving_again_keeps_the_point_and_a_threshold_takes_its_place(calibrated, tmp_path):
    path, _ = calibrated
    srtod.load(path).save(tmp_path / "again.safetensors")
    assert srtod.load(tmp_path / "again.safetensors").config == srtod.load(path).config
    assert srtod.load(path, score_threshold=0.2).config["operating_point"] is None


def test_an_exported_file_says_the_same(calibrated, every, tmp_path, capsys):
    (path, kept), (image, found) = calibrated, every
    program = tmp_path / "program.onnx"
    export_weights(path, program, format="onnx")
    assert "best-f1" in capsys.readouterr().err
    assert [len(own.boxes) for own in srtod.predict(image, program)] == [kept]
    assert "best-f1" in capsys.readouterr().err
    finder = load_finder(program, calibrated=False)
    (own,) = srtod.predict(image, finder, score_threshold=0.0)
    assert len(own.boxes) == len(found.boxes)


def test_a_file_from_before_loads(detector, tmp_path):
    from safetensors.torch import save_file

    path, old = tmp_path / "w.safetensors", tmp_path / "old.safetensors"
    detector.save(path)
    with safe_open(path, framework="pt") as file:
        text = file.metadata()[METADATA_KEY].replace(', "operating_point": null', "")
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert "operating_point" not in text
    save_file(tensors, old, {METADATA_KEY: text})
    assert srtod.load(old).config == detector.config


def test_thresholds_that_do_not_fit_are_refused_and_nothing_is_written(detector, tmp_path):
    path = tmp_path / "w.safetensors"
    detector.save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="thresholds"):
        calibrate_weights(path, "best-f1", {"drone": 1.5})
    with pytest.raises(InputError, match="3 thresholds for 2 classes"):
        srtod.load(path, operating_point={"rule": "best-f1", "thresholds": (0.1, 0.2, 0.3)})
    assert path.read_bytes() == before
