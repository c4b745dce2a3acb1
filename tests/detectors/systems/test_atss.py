import pytest
import torch

import srtod
from srtod.support.errors import InputError

OPTIONS = {
    "classes": ("boat",),
    "backbone": "test_resnet",
    "norm_eval": True,
    "pyramid_channels": 32,
    "anchor_scale": 8,
}


@pytest.mark.parametrize("system", ["atss", "dyhead"])
def test_an_object_smaller_than_a_cell_is_learned_where_it_is_taken_for_a_cell(system):
    torch.manual_seed(0)
    image, target = torch.rand(3, 64, 64), {"boxes": torch.tensor([[18.0, 18, 22, 22]])}
    target["labels"] = torch.zeros(1, dtype=torch.long)
    published, reaching = (
        srtod.build_detector(system, **OPTIONS, least_reach=reach).train()([image], [target])
        for reach in (0, 1)
    )
    assert published["loss_box"] == 0  # the corners of cells are 16 and 24 px from the edge
    assert reaching["loss_box"] > 0


def test_a_share_of_a_cell_needs_anchors_of_one_size():
    with pytest.raises(InputError, match="least_reach: needs one square anchor a cell"):
        srtod.build_detector("atss", **OPTIONS | {"anchor_scale": (4, 8)}, least_reach=1)
    srtod.build_detector("atss", **OPTIONS | {"anchor_scale": (4, 8)})
