"""The light scale: every system of the tables builds with it, learns, and detects."""

import pytest
import torch

from srtod.detectors.config import DetectorConfig
from srtod.detectors.zoo import SYSTEMS, build
from srtod.reproduce.rows import published_tables, resolve

ROWS = {row.recipe: row for row in published_tables()["table-1"].rows}


def test_all_systems_are_in_table_1():
    assert {resolve(row).model.system for row in ROWS.values()} == set(SYSTEMS)


@pytest.mark.parametrize("recipe", ROWS)
def test_a_light_row_learns_and_detects(recipe):
    model = resolve(ROWS[recipe], overlays=["_light"]).model
    torch.manual_seed(0)
    detector = build(DetectorConfig(classes=("drone",), **model.model_dump())).train()
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
        assert (light.system, light.anchor_scale, light.self_reconstruction, light.rfla) == (
            own.system, own.anchor_scale, own.self_reconstruction, own.rfla,
        ), recipe  # fmt: skip
        assert resolve(row, overlays=["_light"]).train == plain.train
