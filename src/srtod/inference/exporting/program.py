"""A detector as one program of tensors: images and their sizes in, the detections of all images out."""

from torch import Tensor, nn

from srtod.detectors.detector import Detector

INPUTS = ("images", "sizes")
OUTPUTS = ("boxes", "scores", "labels", "image_indices")


class Program(nn.Module):
    """What an exported file computes: normalisation, network and choice of the detections.

    It runs the parts of the detector, but takes tensors alone, so that the number of images and their size
    are open.

    Args:
        detector: in evaluation mode.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find objects.

        Args:
            images: float32 ``[B, 3, H, W]``, RGB in 0..1, each in the top left corner; what stands beside
                it is not read.
            sizes: (height, width) of each image without padding, int64 ``[B, 2]``.

        Returns:
            boxes ``[M, 4]`` (x1 y1 x2 y2 in pixels), scores ``[M]``, labels int64 ``[M]`` and index of the
            image int64 ``[M]``: one image after the other, each by descending score.
        """
        detector = self.detector
        normalised, raw, valid = detector.preprocess.of_batch(images, sizes)
        levels = detector.pyramid(normalised)
        if detector.self_reconstruction is not None:
            levels = detector.self_reconstruction.enhanced(levels, raw, valid)
        found = detector.head.detect(levels, sizes)
        found = found.where(found.valid)
        return found.boxes, found.scores, found.groups, found.images
