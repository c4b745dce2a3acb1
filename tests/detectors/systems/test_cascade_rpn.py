import pytest

import srtod
from srtod.support.errors import InputError


@pytest.mark.parametrize("options", [{"anchor_scale": (2, 4)}, {"anchor_ratios": (0.5, 1, 2)}])
def test_more_than_one_anchor_a_cell_is_refused(options):
    with pytest.raises(InputError, match="one anchor a cell"):
        srtod.build_detector("cascade-rpn", num_classes=1, backbone="resnet18", **options)


def test_one_scale_and_ratio_of_anchors_may_be_chosen():
    detector = srtod.build_detector(
        "cascade-rpn", num_classes=1, backbone="resnet18", anchor_scale=8, anchor_ratios=(2,)
    )
    assert detector.head.rpn.regions.anchor_scale == 8
    assert detector.head.rpn.anchors.ratios == (2,)
