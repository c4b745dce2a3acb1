"""The idea: rebuild the image from the lowest level; where that fails, tiny objects were lost."""

from srtod.selfrec.config import SelfReconstructionConfig
from srtod.selfrec.module import SelfReconstruction, SelfReconstructionOutput

__all__ = ["SelfReconstruction", "SelfReconstructionConfig", "SelfReconstructionOutput"]
