"""RFLA on Cascade R-CNN (Xu et al., ECCV 2022): receptive-field anchors and hierarchical assignment."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from srtod.detectors.config import Parts
from srtod.detectors.systems.cascade_rcnn import cascade_head
from srtod.detectors.systems.parts import feature_pyramid
from srtod.detectors.systems.two_stage import RCNNConfig, RFLASwitches, rfla_switches


def _always(value: Any) -> Any:
    return rfla_switches(True if value is None else value)


class RFLAConfig(RCNNConfig):
    """Cascade R-CNN with the option ``rfla``; the published setting keeps 3000 ``rpn_proposals``."""

    system: Literal["rfla"] = "rfla"
    rfla: Annotated[RFLASwitches, BeforeValidator(_always)] = RFLASwitches()

    def parts(self) -> Parts:
        """The parts of Cascade R-CNN, whose proposals have other anchors."""
        pyramid = feature_pyramid(self)
        return Parts(pyramid, cascade_head(self, pyramid))
