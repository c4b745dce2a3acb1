"""Several detectors of the same classes, fused."""

import json

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import srtod
from srtod.cli.main import app
from srtod.inference import load_finder
from srtod.inference.ensemble import Ensemble, members_of
from srtod.inference.memory import fitting_pixels
from srtod.inference.views import ViewedFinder, Views
from srtod.support.errors import InputError


class Given:
    """Finds the same boxes in each image."""

    device = torch.device("cpu")

    def __init__(self, boxes, scores, *, classes=("drone",), **config):
        self.boxes, self.scores, self.classes, self.config = boxes, scores, classes, config

    def __call__(self, images):
        found = {
            "boxes": torch.tensor(self.boxes),
            "scores": torch.tensor(self.scores),
            "labels": torch.zeros(len(self.scores), dtype=torch.long),
        }
        return [found for _ in images]


IMAGE = torch.zeros(3, 20, 30)


def test_what_both_see_is_one_box_and_what_one_sees_counts_half():
    one = Given([[0.0, 0, 8, 8], [20, 10, 26, 16]], [0.9, 0.8])
    two = Given([[0.0, 0, 8, 10]], [0.3])
    [found] = Ensemble([one, two])([IMAGE])
    assert found["scores"].tolist() == pytest.approx([0.6, 0.4])
    assert found["boxes"].flatten().tolist() == pytest.approx([0, 0, 8, 8.5, 20, 10, 26, 16])


def test_the_first_one_limits_what_is_kept_and_tells_no_score_of_its_own():
    point = {"rule": "best-f1", "thresholds": [0.7]}
    one = Given([[0.0, 0, 8, 8], [20, 10, 26, 16]], [0.9, 0.8], score_threshold=0.5, operating_point=point)
    both = Ensemble([one, Given([[0.0, 0, 8, 8]], [0.9])])
    assert len(both([IMAGE])[0]["scores"]) == 1
    assert both.config["operating_point"] is None and one.config["operating_point"] == point


def test_members_have_the_same_classes_and_read_files_alike():
    boxes = [[0.0, 0, 8, 8]], [0.9]
    with pytest.raises(InputError, match="same classes in the same order, not drone and bird"):
        Ensemble([Given(*boxes), Given(*boxes, classes=("bird",))])
    with pytest.raises(InputError, match="in two ways, auto and full"):
        Ensemble([Given(*boxes, stretch="auto"), Given(*boxes, stretch="full")])


def test_soft_suppression_is_not_fused():
    soft, hard = (Given([[0.0, 0, 8, 8]], [0.9], soft_nms=sigma) for sigma in (0.5, None))
    for members in ([soft, hard], [hard, soft]):
        with pytest.raises(InputError, match="soft_nms=None"):
            Ensemble(members)
    with pytest.raises(InputError, match="soft_nms=None"):
        ViewedFinder(soft, Views((1, 2)))
    ViewedFinder(hard, Views((1, 2)))


def test_a_text_with_commas_names_several_unless_it_is_a_file(tmp_path, monkeypatch):
    assert members_of("drones, mine.onnx") == ["drones", "mine.onnx"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").touch()
    assert members_of("a,b") == ["a,b"]
    assert members_of(tmp_path / "a,c") == [tmp_path / "a,c"]
    for wrong in ("a,,b", "a,", []):
        with pytest.raises(InputError, match="give one or more"):
            members_of(wrong)
    with pytest.raises(InputError, match="fuse loaded detectors by Ensemble"):
        members_of([Given([], [])])


@pytest.fixture
def two(tmp_path):
    """Two weights of the same classes, and a picture."""
    for seed in range(2):
        torch.manual_seed(seed)
        srtod.build_detector(
            "retinanet", classes=("drone",), backbone="test_resnet", pyramid_channels=16, score_threshold=0.0
        ).save(tmp_path / f"{seed}.safetensors")
    pixels = (torch.rand(60, 80, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return [tmp_path / f"{seed}.safetensors" for seed in range(2)]


def test_predict_takes_them_from_the_command_line_and_goes_on_with_the_same_alone(two, tmp_path):
    words = ["predict", str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--no-pictures"]
    done = CliRunner().invoke(app, [*words, "--weights", ",".join(map(str, two))])
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    [prediction] = srtod.predict(tmp_path / "a.png", weights=list(map(str, two)), device="cpu")
    assert [row["score"] for row in rows] == pytest.approx(prediction.scores.tolist(), abs=1e-4)
    [alone] = srtod.predict(tmp_path / "a.png", weights=two[0], device="cpu")
    assert prediction.scores.tolist() != alone.scores.tolist()
    other = CliRunner().invoke(app, [*words, "--weights", str(two[0]), "--resume"])
    assert isinstance(other.exception, InputError) and "other weights" in str(other.exception)


def test_a_member_is_an_input_that_no_output_replaces_and_no_calibration_changes(two, tmp_path):
    before = two[1].read_bytes()
    words = ["evaluate", str(tmp_path), "--weights", ",".join(map(str, two))]
    done = CliRunner().invoke(app, [*words, "--json", str(two[1]), "--overwrite"])
    assert isinstance(done.exception, InputError) and "is an input" in str(done.exception)
    done = CliRunner().invoke(app, [*words, "--calibrate", "best-f1"])
    assert isinstance(done.exception, InputError) and "not into several" in str(done.exception)
    assert two[1].read_bytes() == before


def test_a_score_below_that_of_the_members_is_refused(tmp_path, two):
    srtod.load(two[0], score_threshold=0.1).save(tmp_path / "sure.safetensors")
    with pytest.raises(InputError, match=r"at least 0\.1"):
        load_finder([two[1], tmp_path / "sure.safetensors"], score_threshold=0.05)
    load_finder((two[1], tmp_path / "sure.safetensors"), score_threshold=0.1)


def test_images_go_to_the_device_of_each_member():
    class Elsewhere(Given):
        device = torch.device("meta")

        def __call__(self, images):
            assert images[0].device == self.device
            return super().__call__(images)

    here, there = (kind([[0.0, 0, 8, 8]], [0.9]) for kind in (Given, Elsewhere))
    [found] = Ensemble([here, there])([IMAGE])
    assert found["scores"].device == IMAGE.device


def test_detectors_amid_their_training_find_as_they_would_after_it(two):
    members = [srtod.load(path) for path in two]
    expected = Ensemble(members)([IMAGE])
    for own in members:
        own.train()
    [found], [known] = Ensemble(members)([IMAGE]), expected
    assert torch.equal(found["boxes"], known["boxes"])
    assert all(own.training for own in members)


def test_what_takes_one_file_says_so_of_several(two):
    with pytest.raises(InputError, match="give one"):
        srtod.load(",".join(map(str, two)))


def test_views_and_a_score_are_of_the_ensemble(two):
    finder = load_finder([*two], views=Views(flips=True), score_threshold=0.02)
    assert isinstance(finder, ViewedFinder) and isinstance(finder.finder, Ensemble)
    [found] = finder([IMAGE])
    assert (found["scores"] >= 0.02).all()
    assert fitting_pixels(finder) == pytest.approx(fitting_pixels(load_finder(two[0])), rel=0.2)
