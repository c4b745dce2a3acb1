import numpy as np
import pytest
import torch
from PIL import Image

import srtod
from srtod.data.records import ImageRecord
from srtod.inference import ImageFile
from srtod.reproduce import figures
from srtod.reproduce.figures import draw_figure, read_place
from srtod.support.errors import InputError


def build(self_reconstruction, **changes):
    torch.manual_seed(0)
    settings = {
        "classes": ("drone",),
        "backbone": "test_resnet",
        "pyramid_channels": 16,
        "box_channels": 16,
        "rpn_proposals": (50, 20),
        "score_threshold": 0.0,
        "detections_per_image": 20,
    }
    return srtod.build_detector(
        "faster-rcnn", self_reconstruction=self_reconstruction, **settings | changes
    ).eval()


@pytest.fixture(scope="module")
def detector():
    return build({"head": "lite"})


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (72, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return ImageFile(path, "a.png", 1)


def annotated(image, boxes, ignore):
    boxes = np.array(boxes, dtype=np.float64)
    record = ImageRecord(
        image_id=1,
        file_name="a.png",
        path=image.path,
        width=96,
        height=72,
        boxes=boxes,
        labels=np.zeros(len(boxes), dtype=np.int64),
        ignore=np.array(ignore, dtype=bool),
        annotation_ids=np.arange(len(boxes)),
    )
    return ImageFile(image.path, image.file_name, 1, record)


@pytest.fixture
def rows(monkeypatch):
    """The rows of the figure that is drawn."""
    seen = []
    drawn = figures.zoom_figure

    def watch(given, bars):
        seen.extend(given)
        return drawn(given, bars)

    monkeypatch.setattr(figures, "zoom_figure", watch)
    return seen


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("figure-1", ["P2", "reconstruction", "difference"]),
        ("figure-3", ["reconstruction", "difference", "high-frequency\ndifference"]),
        ("figure-4", ["P2 before DGFE", "P2 after DGFE", "difference"]),
    ],
)
def test_each_figure_has_its_maps(name, titles, detector, image, tmp_path, rows):
    assert draw_figure(name, detector, [image], tmp_path / "out", min_score=0) == tmp_path / f"out/{name}.png"
    assert [panel.title for panel in rows[0].maps] == titles


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_ending_says_the_format(suffix, start, detector, image, tmp_path):
    path = draw_figure("figure-1", detector, [image], tmp_path / f"one.{suffix}", at=[(40, 30)])
    assert path.read_bytes().startswith(start)


def test_both_differences_are_of_one_reconstruction(detector, image, tmp_path, rows):
    draw_figure("figure-3", detector, [image], tmp_path, at=[(40, 30)])
    rebuilt, difference, high = (panel.pixels for panel in rows[0].maps)
    given = rows[0].picture.pixels
    assert difference == pytest.approx(np.abs(rebuilt - given).mean(axis=2), abs=1e-5)
    error = np.fft.fft2(rebuilt - given, axes=(0, 1))
    slow = np.hypot(np.fft.fftfreq(72)[:, None], np.fft.fftfreq(96)[None]) < 1 / 32
    error[slow] = 0
    assert high == pytest.approx(np.abs(np.fft.ifft2(error, axes=(0, 1)).real).mean(axis=2), abs=1e-4)


def test_the_smallest_annotated_object_is_enlarged(detector, image, tmp_path, rows):
    boxes = [(10, 10, 30, 30), (60, 40, 66, 45), (50, 50, 52, 52)]
    draw_figure("figure-1", detector, [annotated(image, boxes, (False, False, True))], tmp_path)
    assert rows[0].box.tolist() == [60, 40, 66, 45]
    assert rows[0].note == "6 × 5 px, annotated"  # noqa: RUF001 - the sign of multiplication is meant


def test_the_smallest_sure_detection_is_enlarged(detector, image, tmp_path, rows, monkeypatch):
    found = {
        "boxes": torch.tensor([[0.0, 0, 40, 40], [20, 20, 28, 26], [70, 60, 72, 62]]),
        "scores": torch.tensor([0.9, 0.6, 0.2]),
        "labels": torch.zeros(3, dtype=torch.int64),
    }
    monkeypatch.setattr(detector, "forward", lambda images: [found])
    draw_figure("figure-1", detector, [image], tmp_path, min_score=0.5)
    assert rows[0].box.tolist() == [20, 20, 28, 26]
    assert rows[0].note == "8 × 6 px, score 0.60"  # noqa: RUF001 - the sign of multiplication is meant


def test_a_place_is_enlarged_and_kept_inside_the_image(detector, image, tmp_path, rows):
    draw_figure("figure-1", detector, [image, image], tmp_path, at=[(40, 30), (95, 0)])
    assert [row.box.tolist() for row in rows] == [[36, 26, 44, 34], [91, 0, 96, 4]]


def test_a_detector_on_p3_says_so(image, tmp_path, rows):
    torch.manual_seed(0)
    coarse = srtod.build_detector(
        "retinanet", classes=("drone",), backbone="test_resnet", self_reconstruction={"head": "lite"}
    ).eval()
    draw_figure("figure-4", coarse, [image], tmp_path, at=[(40, 30)])
    assert [panel.title for panel in rows[0].maps[:2]] == ["P3 before DGFE", "P3 after DGFE"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at": [(96, 3)]}, "outside of"),
        ({"at": [(1, 1), (2, 2)]}, "2 places for 1 images"),
        ({"min_score": 1.1}, "no detection scores 1.1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(options, words, detector, image, tmp_path):
    with pytest.raises(InputError, match=words):
        draw_figure("figure-1", detector, [image], tmp_path / "out.png", **options)
    assert not (tmp_path / "out.png").exists()


def test_an_image_whose_annotations_hold_nothing(detector, image, tmp_path):
    empty = annotated(image, np.zeros((0, 4)), [])
    with pytest.raises(InputError, match="no annotated object"):
        draw_figure("figure-1", detector, [empty], tmp_path)


def test_an_ending_that_is_no_figure(detector, image, tmp_path):
    with pytest.raises(InputError, match=r"out\.jpg: a figure ends in \.png"):
        draw_figure("figure-1", detector, [image], tmp_path / "out.jpg", at=[(40, 30)])


def test_an_output_that_cannot_be_written_is_told_before_any_work(detector, image, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("srtod.reproduce.figures.read_image", lambda _: pytest.fail("read"))
    with pytest.raises(InputError, match=r"figure-1\.png: cannot be written: Not a directory"):
        draw_figure("figure-1", detector, [image], tmp_path / "file" / "folder", at=[(40, 30)])


def test_a_plain_detector_has_no_figures(image, tmp_path):
    with pytest.raises(InputError, match="without self-reconstruction"):
        draw_figure("figure-1", build(False), [image], tmp_path)


def test_places_are_read():
    assert read_place("812, 34.5") == (812, 34.5)
    for text in ("812", "a,b", "1,2,3", ""):
        with pytest.raises(InputError, match="--at"):
            read_place(text)
