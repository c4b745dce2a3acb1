"""DetectoRS on Cascade R-CNN (Qiao et al., CVPR 2021), set as in MMDetection 3."""

from typing import Literal

from srtod.detectors.config import Parts
from srtod.detectors.systems.cascade_rcnn import cascade_head
from srtod.detectors.systems.parts import backbone
from srtod.detectors.systems.two_stage import RCNNConfig
from srtod.pyramids.recursive import RecursiveFeaturePyramid
from srtod.pyramids.switchable import standardise_weights


class DetectoRSConfig(RCNNConfig):
    """Cascade R-CNN on a recursive feature pyramid.

    Attributes:
        switchable_atrous: the 3x3 convolutions switch between two dilations; without, it is what the authors
            of SR-TOD call DetectoRS.
    """

    system: Literal["detectors"] = "detectors"
    switchable_atrous: bool = True

    def parts(self) -> Parts:
        """Two ResNets with switchable atrous convolution, the second fed with the levels of the first."""
        first, second = (
            standardise_weights(backbone(self), switchable_atrous=self.switchable_atrous) for _ in range(2)
        )
        pyramid = RecursiveFeaturePyramid(first, second, channels=self.pyramid_channels)
        return Parts(pyramid, cascade_head(self, pyramid))
