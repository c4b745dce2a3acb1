import pytest

import srtod
from srtod.inference.exporting.trace import require_exportable
from srtod.support.errors import InputError

SMALL = {"classes": ("person",), "backbone": "resnet10t"}


@pytest.mark.parametrize("system", ["faster-rcnn", "cascade-rcnn", "rfla", "retinanet", "atss"])
def test_systems_of_plain_convolutions_are_taken(system):
    require_exportable(srtod.build_detector(system, **SMALL))


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("dyhead", "deformable"),
        ("cascade-rpn", "deformable"),
        ("detectors", "switchable_atrous=False"),
        ("tridentnet", "groups of boxes"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(system, reason):
    with pytest.raises(InputError, match=rf"^export: {system} .*{reason}"):
        require_exportable(srtod.build_detector(system, **SMALL))


def test_a_fourier_transform_is_refused_where_something_reads_it():
    switches = {"difference": "high-frequency"}
    with pytest.raises(InputError, match="Fourier"):
        require_exportable(srtod.build_detector("atss", self_reconstruction=switches, **SMALL))
    switches |= {"enhancement": "none"}
    require_exportable(srtod.build_detector("atss", self_reconstruction=switches, **SMALL))


@pytest.mark.parametrize("system", ["faster-rcnn", "atss"])
def test_soft_suppression_is_refused(system):
    with pytest.raises(InputError, match="soft_nms"):
        require_exportable(srtod.build_detector(system, soft_nms=0.5, **SMALL))
