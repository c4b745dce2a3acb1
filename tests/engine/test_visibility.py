"""What the maps of a detector show of the objects of a data set."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import srtod
from srtod.cli.main import app
from srtod.engine.visibility import visibility
from srtod.support.errors import InputError

from .conftest import write_set


def detector(**switches):
    torch.manual_seed(0)
    return srtod.build_detector(
        "faster-rcnn",
        classes=("square",),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        score_threshold=0.0,
        self_reconstruction={"head": "lite", **switches} if switches else False,
    ).eval()


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("squares"), images=4)


def test_bright_squares_stand_out_of_the_grey_image_but_not_of_a_constant_mask(squares):
    measured = visibility(detector(threshold=0.0), squares, resamples=0, progress=False)
    assert measured.images == 4
    assert measured.objects == 9
    assert measured.auc["gradient"]["tiny"] > 0.7
    assert measured.auc["mask"]["tiny"] == pytest.approx(0.5, abs=0.02)
    assert measured.object_cells_set == measured.all_cells_set == 1
    assert np.isnan(measured.auc["mask"]["small"])


def test_with_a_full_mask_learned_ones_and_shuffled_are_the_same(squares):
    rows = visibility(detector(threshold=0.0), squares, resamples=3, progress=False).interventions
    for name in ("ones", "shuffled"):
        assert rows[f"learned - {name}"]["AP"].value == 0
    assert {"learned", "zeros", "boxes", "learned - boxes"} < set(rows)


def test_an_empty_mask_is_that_of_zeros(squares):
    measured = visibility(detector(threshold=1.0), squares, resamples=0, progress=False)
    assert measured.all_cells_set == 0
    assert measured.interventions["learned - zeros"]["AP"].value == 0


def test_what_reads_no_mask_has_no_interventions(squares):
    measured = visibility(detector(enhancement="none"), squares, resamples=0, progress=False)
    assert measured.interventions == {}
    assert 0 <= measured.auc["difference"]["all"] <= 1


def test_regions_to_ignore_are_neither_object_nor_rest(squares):
    *others, last = squares.records
    records = (*(replace(record, ignore=~record.ignore) for record in others), last)
    measured = visibility(
        detector(threshold=0.0), replace(squares, records=records), resamples=0, progress=False
    )
    assert measured.objects == len(last.boxes)
    assert measured.object_cells_set == measured.all_cells_set == 1


def test_weights_without_self_reconstruction_are_refused(squares):
    with pytest.raises(InputError, match="no self-reconstruction"):
        visibility(detector(), squares)


def test_images_without_objects_are_refused_before_any_work(squares, monkeypatch):
    monkeypatch.setattr("srtod.engine.visibility.DetectionDataset", lambda *_, **__: pytest.fail("begun"))
    records = tuple(replace(own, ignore=np.ones_like(own.ignore)) for own in squares.records)
    with pytest.raises(InputError, match="no object is marked in the 4 images to look at"):
        visibility(detector(threshold=0.5), replace(squares, records=records), progress=False)


def test_the_verb_prints_tables_and_writes_figures(tmp_path, shared):
    weights = tmp_path / "weights.safetensors"
    detector(threshold=0.1).save(weights)
    with (tmp_path / "small.json").open("w") as file:
        content = json.loads((shared / "data/tinyperson/val.json").read_text())
        content["images"] = content["images"][:3]
        ids = {entry["id"] for entry in content["images"]}
        content["annotations"] = [own for own in content["annotations"] if own["image_id"] in ids]
        content["categories"][0]["name"] = "square"
        json.dump(content, file)
    (tmp_path / "images").symlink_to(shared / "data/tinyperson/images")
    figures, picture = tmp_path / "v.json", tmp_path / "v.png"
    words = ["visibility", tmp_path / "small.json", "--weights", weights, "--images", 2, "--resamples", 2]
    words += ["--json", figures, "--picture", picture]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "learned - shuffled" in result.output
    written = json.loads(figures.read_text())
    assert written["images"] == 2
    assert 0 <= written["AUC"]["difference"]["very tiny"] <= 1
    assert set(written["shares"]["mask"]) == {"object_cells", "all_cells"}
    assert {"AP", "APvt", "APt", "intervals"} >= set(written["interventions"]["shuffled"])
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
