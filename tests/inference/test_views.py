import copy
import json

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import srtod
from srtod.cli.main import app
from srtod.inference.ensemble import Ensemble
from srtod.inference.memory import fitting_pixels
from srtod.inference.views import ONE_VIEW, ViewedFinder, Views, in_views
from srtod.support.errors import InputError


class Bright:
    """Finds the pixels brighter than half as one box; its score is the larger, the more pixels it sees."""

    classes = ("bright",)
    device = torch.device("cpu")
    least = None

    def __init__(self):
        self.config = {"stretch": "full"}
        self.seen = []

    def __call__(self, images):
        self.seen += [tuple(image.shape[1:]) for image in images]
        return [self.find(image) for image in images]

    def find(self, image):
        rows, columns = (image.mean(0) > 0.5).nonzero().unbind(1)
        corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return {
            "boxes": torch.stack(corners)[None].float(),
            "scores": torch.tensor([0.2 * image.shape[2] / 40]),
            "labels": torch.tensor([0]),
        }


@pytest.fixture
def picture():
    image = torch.zeros(3, 30, 40)
    image[:, 4:10, 8:16] = 1
    return image


def test_boxes_of_every_view_come_back_to_the_image(picture):
    inner = Bright()
    [found] = in_views(inner, Views((1, 2, 0.5), flips=True))([picture])
    assert inner.seen == [(30, 40)] * 2 + [(60, 80)] * 2 + [(15, 20)] * 2
    assert found["boxes"].tolist() == [pytest.approx([8, 4, 16, 10], abs=0.6)]
    assert found["scores"].tolist() == [pytest.approx(0.2 * (1 + 2 + 0.5) / 3)]


def test_sides_that_do_not_divide_come_back(picture):
    [found] = in_views(Bright(), Views((1.3,)))([picture[:, :29, :37]])
    assert found["boxes"].tolist() == [pytest.approx([8, 4, 16, 10], abs=0.8)]


def test_the_image_alone_needs_no_views():
    inner = Bright()
    assert in_views(inner, ONE_VIEW) is inner
    assert in_views(inner, Views((1.0,), flips=False)) is inner


def test_scores_count_once_views_are_together(picture):
    finder = in_views(Bright(), Views((1, 2)))  # 0.2 and 0.4, together 0.3
    finder.least = torch.tensor([0.25])
    assert len(finder([picture])[0]["scores"]) == 1
    finder.least = torch.tensor([0.35])
    assert len(finder([picture])[0]["scores"]) == 0


def test_limits_hold_for_what_all_views_show_together(picture):
    inner = Bright()
    inner.config = {"score_threshold": 0.25, "detections_per_image": 0}
    assert len(in_views(inner, Views((1, 2)))([picture])[0]["scores"]) == 0
    inner.config["detections_per_image"] = 1
    assert len(in_views(inner, Views((1, 2)))([picture])[0]["scores"]) == 1
    inner.config["score_threshold"] = 0.35
    assert len(in_views(inner, Views((1, 2)))([picture])[0]["scores"]) == 0


def test_scales_are_refused_where_all_images_become_one_size():
    inner = Bright()
    inner.config = {"resize": (1333, 800), "stretch": "full"}
    with pytest.raises(InputError, match=r"sides of at most \(1333, 800\)"):
        in_views(inner, Views((1, 2)))
    in_views(inner, Views((1,), flips=True))
    with pytest.raises(InputError, match=r"sides of at most \(1333, 800\)"):
        in_views(Ensemble([Bright(), inner]), Views((1, 2)))


def test_what_the_finder_knows_is_known():
    finder = copy.copy(ViewedFinder(Bright(), Views((1, 2))))
    assert (finder.classes, finder.config) == (("bright",), {"stretch": "full"})
    with pytest.raises(AttributeError, match="explain"):
        finder.explain  # noqa: B018


def test_larger_views_leave_less_memory():
    inner = Bright()
    ratio = fitting_pixels(inner) / fitting_pixels(in_views(inner, Views((1, 2))))
    assert ratio == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("scales", [1.5, "1,1.5", [None]])
def test_what_is_no_list_of_scales_is_refused(scales):
    with pytest.raises(InputError, match="give factors of both sides"):
        next(srtod.predict(torch.rand(3, 32, 32), weights=Bright(), scales=scales))


@pytest.mark.parametrize("scales", [(), (1, 1), (0,), (-1,), (5,), (float("nan"),)])
def test_bad_scales_are_refused(scales):
    with pytest.raises(InputError, match="scale"):
        Views(scales)


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return srtod.build_detector(
        "retinanet", classes=("thing",), backbone="resnet10t", pyramid_channels=16, score_threshold=0.0
    ).eval()


def test_a_detector_at_hand_looks_at_views(detector):
    image = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    one = next(srtod.predict(image, weights=detector))
    several = next(srtod.predict(image, weights=detector, scales=(1, 1.5), flips=True))
    assert torch.equal(
        torch.as_tensor(next(detector.predict(image, scales=(1, 1.5), flips=True)).scores),
        torch.as_tensor(several.scores),
    )
    some = next(srtod.predict(image, weights=detector, scales=(1, 1.5), score_threshold=0.009))
    assert len(one.scores)
    assert several.scores.max() <= 1
    assert several.scores.tolist() != one.scores.tolist()
    assert (some.scores >= 0.009).all()
    assert (several.boxes[:, 2] <= 96 + 1e-3).all()


def test_the_command_line_puts_views_together(detector, tmp_path):
    detector.save(weights := tmp_path / "w.safetensors")
    Image.new("RGB", (96, 64), (90, 120, 30)).save(tmp_path / "a.png")
    found = {}
    for name, words in {"one": (), "views": ("--scales", "1,2", "--flips", "--slice", "48")}.items():
        command = ["predict", str(tmp_path / "a.png"), "--weights", str(weights), "--no-pictures"]
        result = CliRunner().invoke(app, [*command, "--output", str(tmp_path / name), *words])
        assert result.exit_code == 0, result.output
        found[name] = json.loads((tmp_path / name / "detections.json").read_text())
    assert found["one"] != found["views"]
    assert found["views"]


def test_frames_of_a_video_are_looked_at_in_views(detector, tmp_path):
    clip = tmp_path / "a.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 96, 64
        for _ in range(3):
            pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    detector.save(weights := tmp_path / "w.safetensors")
    command = ["predict", str(clip), "--weights", str(weights), "--no-pictures"]
    for name, words in {"one": (), "two": ("--flips",)}.items():
        done = CliRunner().invoke(app, [*command, "--output", str(tmp_path / name), *words])
        assert done.exit_code == 0, done.output
    one, two = ((tmp_path / name / "a.jsonl").read_text() for name in ("one", "two"))
    assert len(one.splitlines()) == len(two.splitlines()) == 3
    assert one != two


def test_scales_that_are_no_numbers_are_refused(tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    result = CliRunner().invoke(app, ["predict", str(tmp_path / "a.png"), "--scales", "1;2"])
    assert result.exit_code != 0
    assert "give factors of both sides" in result.output + str(result.exception)
