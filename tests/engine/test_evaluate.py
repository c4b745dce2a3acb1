"""A detector on a data set."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srtod.data.dataset import DetectionDataset
from srtod.data.records import ANY_CLASS, AnnotatedSet, ImageRecord
from srtod.engine.evaluate import detect, evaluate, labels_of, on_common_classes
from srtod.engine.sets import Source, evaluation_set
from srtod.metrics import evaluate_files
from srtod.support.errors import InputError


class BrightPixels(nn.Module):
    """Finds one object an image: the rectangle around all that is bright; says which class it was told."""

    def __init__(self, classes=("square",), label=0):
        super().__init__()
        self.classes = classes
        self.label = label
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[int] = []

    def forward(self, images: list[Tensor]):
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.batches.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image: Tensor):
        assert image.max() <= 1
        bright = (image.mean(0) > 0.5).nonzero()
        boxes = [torch.cat([bright.amin(0).flip(0), bright.amax(0).flip(0) + 1])] if len(bright) else []
        return {
            "boxes": torch.stack(boxes).float() if boxes else torch.zeros(0, 4),
            "scores": torch.full((len(boxes),), 0.75),
            "labels": torch.full((len(boxes),), self.label),
        }


def bright(classes=("square",), label=0) -> Any:
    return BrightPixels(classes, label)


def data(annotated: AnnotatedSet) -> DetectionDataset:
    return DetectionDataset(annotated.records, classes=annotated.classes)


def extent(record):
    x1, y1 = record.boxes[:, :2].min(0)
    x2, y2 = record.boxes[:, 2:].max(0)
    return [x1, y1, x2, y2]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_detections_are_columns_in_the_order_of_the_set(squares, batch_size):
    detector = bright()
    found = detect(detector, data(squares), batch_size=batch_size, progress=False)

    assert found.images.tolist() == [1, 2, 3, 4, 5]  # the first image has nothing in it
    assert found.boxes.tolist() == [extent(r) for r in squares.records[1:]]
    assert found.scores.tolist() == [0.75] * 5
    assert found.labels.tolist() == [0] * 5
    assert found.of_image(3)[0].tolist() == [extent(squares.records[3])]
    assert len(found.of_image(0)[0]) == 0
    assert sum(detector.batches) == 6
    assert max(detector.batches) == min(batch_size, 6)


@pytest.mark.parametrize("training", [True, False])
def test_the_detector_keeps_its_mode(squares, training):
    detector = bright().train(training)
    detector.frozen = nn.BatchNorm2d(3).eval()
    detect(detector, data(squares), progress=False)

    assert detector.training is training
    assert not detector.frozen.training


def test_classes_are_matched_by_name(squares):
    named = AnnotatedSet(squares.source, "coco", "val", ("circle", "square"), squares.records)
    of_square = detect(bright(("square", "star", "circle"), label=0), data(named), progress=False)
    of_star = detect(bright(("square", "star", "circle"), label=1), data(named), progress=False)
    of_circle = detect(bright(("square", "star", "circle"), label=2), data(named), progress=False)

    assert set(of_square.labels) == {1}
    assert len(of_star.labels) == 0  # the data set has no stars
    assert set(of_circle.labels) == {0}


def test_more_classes_than_the_weights(squares):
    named = AnnotatedSet(squares.source, "coco", "val", ("square", "circle", "stars"), squares.records)
    with pytest.raises(InputError) as error:
        detect(bright(("square", "star")), data(named), progress=False)

    assert str(error.value).startswith(
        "the data has more classes than the weights: circle, stars (did you mean 'star'?) not among "
        "square, star; "
    )


def test_labels_are_those_of_the_same_name():
    detector: Any = SimpleNamespace(classes=("a", "b", "c"))
    assert labels_of(detector, ("c", "a")).tolist() == [1, -1, 0]


def test_an_image_that_cannot_be_read_is_named(squares):
    squares.records[3].path.write_bytes(b"")
    with pytest.raises(InputError, match=squares.records[3].path.name):
        detect(bright(), data(squares), progress=False)


def test_metrics_of_a_detector(squares):
    one = squares.records[1]
    one.boxes[:] = one.boxes[0]  # three times the same box, of which one can be found
    annotated = replace(squares, records=squares.records[:2])
    detector: Any = OneBox(one.boxes[0])
    metrics = evaluate(detector, annotated, progress=False, detections_per_image=7)

    assert metrics.summary["AR"] == pytest.approx(1 / 3)
    assert metrics.detections_per_image == 7
    assert metrics.images == 2


class OneBox(BrightPixels):
    """Finds the same box in every image that has something bright in it."""

    def __init__(self, box):
        super().__init__()
        self.box = torch.tensor(np.array(box)).float()

    def _find(self, image):
        found = super()._find(image)
        return found | {"boxes": self.box.expand(len(found["boxes"]), 4)}


def test_a_bar_on_stderr_only_where_wanted(squares, capsys):
    detect(bright(), data(squares), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "6/6" in shown.err

    detect(bright(), data(squares), progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_two_processes_share_the_images_out(tmp_path):
    script = Path(__file__).with_name("detect_squares.py")
    port = 20000 + os.getpid() % 20000
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    subprocess.run([*command, str(script), str(tmp_path)], check=True, env=environment, timeout=300)

    for images, shares in ((5, [3, 2]), (1, [1, 0])):
        answers = [json.loads((tmp_path / f"{images}-{rank}.json").read_text()) for rank in range(2)]
        assert len(answers[0]["alone"]) == images - 1
        assert answers[0]["shared"] == answers[0]["alone"]
        assert answers[1]["shared"] == []  # the main process has all
        assert [answer["seen"] for answer in answers] == shares


@pytest.fixture
def coco_folder(tmp_path, squares):
    """Makes a COCO data set of the squares: annotations/SPLIT.json and images/SPLIT/."""

    def make(*splits: str) -> Path:
        folder = tmp_path / "coco"
        for split in splits:
            (folder / "images" / split).mkdir(parents=True)
            (folder / "annotations").mkdir(exist_ok=True)
            for record in squares.records:
                shutil.copy(record.path, folder / "images" / split)
            (folder / "annotations" / f"{split}.json").write_text(json.dumps(as_coco(squares)))
        return folder

    return make


def as_coco(annotated: AnnotatedSet) -> dict[str, Any]:
    ids = itertools.count(1)
    return {
        "images": [
            {"id": r.image_id, "file_name": r.file_name, "width": 64, "height": 64} for r in annotated.records
        ],
        "categories": [{"id": 5, "name": "square"}],
        "annotations": [
            {
                "id": next(ids),
                "image_id": r.image_id,
                "category_id": 5,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for r in annotated.records
            for x1, y1, x2, y2 in r.boxes.tolist()
        ],
    }


@pytest.mark.parametrize(
    ("there", "chosen"),
    [(("train", "val", "test"), "val"), (("test", "train"), "test"), (("train",), "train")],
)
def test_the_split_to_evaluate_on(coco_folder, there, chosen):
    folder = coco_folder(*there)
    for other in set(there) - {chosen}:
        (folder / "annotations" / f"{other}.json").write_text("damaged")
    assert len(evaluation_set(Source(folder)).records) == 6


def test_several_splits_and_none_is_held_out(coco_folder):
    with pytest.raises(InputError, match=r"has the splits .*choose one with --split"):
        evaluation_set(Source(coco_folder("train", "trainval")))


def test_saved_detections_give_the_same_metrics(tmp_path, coco_folder):
    folder = coco_folder("val")
    saved = tmp_path / "found.json"
    metrics = evaluate(bright(), evaluation_set(Source(folder)), save_detections=saved)
    results = json.loads(saved.read_text())

    assert results[0].keys() == {"image_id", "file_name", "category_id", "category_name", "bbox", "score"}
    assert (results[0]["category_name"], results[0]["category_id"]) == ("square", 5)
    assert results[0]["file_name"] == "train1.png"
    assert evaluate_files(folder / "annotations" / "val.json", saved).summary == metrics.summary


def test_damaged_data_stops_or_is_left_out(coco_folder, capsys):
    folder = coco_folder("val")
    (folder / "images" / "val" / "train1.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"train1\.png.*--skip-bad"):
        evaluation_set(Source(folder))
    capsys.readouterr()
    assert len(evaluation_set(Source(folder, skip_bad=True)).records) == 5
    assert "left out: " in (shown := capsys.readouterr().err)
    assert "train1.png" in shown


class FindsSquares:
    """What finds objects and is no network: the brightest pixels, whatever looks for them."""

    classes = ("square",)
    device = torch.device("cpu")

    def __call__(self, images):
        return bright().eval()(images)


def test_what_finds_need_not_be_a_network(squares):
    found = detect(FindsSquares(), data(squares), progress=False)
    assert found.boxes.tolist() == detect(bright(), data(squares), progress=False).boxes.tolist()


def test_a_detector_of_ours(squares):
    from srtod.detectors.zoo import build_detector

    torch.manual_seed(0)
    detector = build_detector(
        "faster-rcnn",
        classes=("square",),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        score_threshold=0.0,
    )
    results = detect(detector, data(squares), batch_size=2, progress=False)

    assert set(results.images) <= set(range(6))
    assert ((results.scores >= 0) & (results.scores <= 1)).all()
    assert (results.boxes[:, 2:] >= results.boxes[:, :2]).all()
    halved = detect(detector, data(squares), batch_size=2, progress=False, precision="bf16")
    assert halved.scores.dtype == np.float32
    assert not np.array_equal(halved.scores[:5], results.scores[:5])
    assert halved.scores[0] == pytest.approx(results.scores[0], abs=0.05)
    assert evaluate(detector, squares, progress=False).summary["AP"] >= 0


def test_a_class_that_the_weights_do_not_know_is_left_out_and_told(capsys):
    box = np.array([[1.0, 1.0, 9.0, 9.0], [20.0, 20.0, 30.0, 30.0], [40.0, 40.0, 50.0, 50.0]])
    labels, ignore = np.array([0, 1, ANY_CLASS]), np.array([False, False, True])
    record = ImageRecord(1, "a.png", Path("a.png"), 64, 64, box, labels, ignore, np.arange(3))
    annotated = AnnotatedSet(Path("set"), "coco", "", ("boat", "drone"), (record,), category_ids=(4, 9))
    common = on_common_classes(annotated, ("bird", "drone"))
    assert (common.classes, common.category_ids) == (("drone",), (9,))
    assert common.records[0].labels.tolist() == [0, ANY_CLASS]
    assert common.records[0].boxes.tolist() == box[1:].tolist()
    assert "the weights do not know boat" in capsys.readouterr().err
    assert on_common_classes(annotated, ("bird",)) is annotated
