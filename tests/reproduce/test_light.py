"""The light scale: every system of the tables builds with it, learns, and detects."""

import pytest
import torch

from srtod.detectors.detector import Detector
from srtod.detectors.systems import SYSTEMS
from srtod.reproduce.rows import published_tables, resolve

ROWS = {row.recipe: row for row in published_tables()["table-1"].rows}


def test_all_systems_are_in_table_1():
    assert {resolve(row).model.system for row in ROWS.values()} == set(SYSTEMS)


@pytest.mark.parametrize("recipe", ROWS)
def test_a_light_row_learns_and_detects(recipe):
    model = resolve(ROWS[recipe], overlays=["_light"]).model
    torch.manual_seed(0)
    detector = Detector.build(model.for_classes(["drone"])).train()
    image = torch.rand(3, 96, 128)
    target = {"boxes": torch.tensor([[20.0, 30.0, 32.0, 40.0]]), "labels": torch.tensor([0])}
    losses = detector([image], [target])
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert ("loss_reconstruction" in losses) == recipe.endswith("-srtod")
    assert len(detector.eval()([image])) == 1


def test_light_keeps_what_rows_differ_in():
    plain = resolve(ROWS["droneswarms-cascade-rcnn"], overlays=["_light"])
    for recipe, row in ROWS.items():
        own, light = resolve(row).model, resolve(row, overlays=["_light"]).model
        kept = ("system", "anchor_scale", "self_reconstruction", "rfla")
        assert light.model_dump(include=kept) == own.model_dump(include=kept), recipe
        assert resolve(row, overlays=["_light"]).train == plain.train
