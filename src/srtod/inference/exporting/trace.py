"""A detector as one program of tensors, open for any number and size of images, and its graph."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from srtod.detectors.detector import Detector
from srtod.inference.speed import for_inference
from srtod.support.errors import InputError, first_line

INPUTS = ("images", "sizes")
OUTPUTS = ("boxes", "scores", "labels", "image_indices")

Run = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Images ``[B, 3, H, W]`` and sizes ``[B, 2]`` on the CPU to the outputs of a program."""

_EXAMPLE = (200, 264)
"""(height, width) of the images that are traced: no side of any level is 1, and no two are the same."""

_LONGEST = 2**16
"""Bounds what the tracer multiplies sizes to; pixels of a side."""

_MOST_IMAGES = 2**12

_CHECKS = (
    torch.ops.aten._assert_scalar.default,
    torch.ops.aten._assert_tensor_metadata.default,
    torch.ops.aten.sym_constrain_range.default,
    torch.ops.aten.sym_constrain_range_for_size.default,
)


class Program(nn.Module):
    """What an exported file computes: normalisation, network and choice of the detections.

    It runs the parts of a detector in evaluation mode, but takes tensors alone, so that the number of images
    and their size are open.
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


def traced(detector: Detector) -> ExportedProgram:
    """Trace a detector, which stays as it is, on the CPU.

    Non-maximum suppression is one operator of :mod:`srtod.boxes.nms` in the program.

    Raises:
        InputError: torch cannot follow a layer.
    """
    program = Program(for_inference(detector).cpu()).eval()
    height, width = _EXAMPLE
    images, sizes = torch.rand(2, 3, height, width), torch.tensor([[height, width], [height - 10, width]])
    batch, side = Dim.DYNAMIC(min=1, max=_MOST_IMAGES), Dim.DYNAMIC(min=1, max=_LONGEST)
    shapes = dict(zip(INPUTS, ({0: batch, 2: side, 3: side}, {0: batch}), strict=True))
    try:
        with torch.no_grad():
            made = torch.export.export(
                program,
                (images, sizes),
                dynamic_shapes=shapes,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except Exception as error:  # whatever torch says where a layer cannot be followed
        raise InputError(
            f"export: torch.export cannot follow {detector.config['system']} with the backbone "
            f"{detector.config['backbone']} ({first_line(error)}); take another backbone"
        ) from error
    drop_checks(made)
    return made


def require_exportable(detector: Detector) -> None:
    """Make sure, before any work, that a detector can become a program of standard operators.

    A part that cannot gives the reason as its attribute ``export_obstacle``, which is said of the
    system, such as "has deformable convolutions".

    Raises:
        InputError: it cannot; the message says why.
    """
    for part in detector.modules():
        reason = getattr(part, "export_obstacle", None)
        if reason is not None:
            system = detector.config["system"]
            raise InputError(f"export: {system} {reason}; what can be exported stands in docs/export.md")


def drop_checks(program: ExportedProgram) -> None:
    """Take the tracer's checks out, in place.

    They are what it assumed of sizes to choose the operators' forms. What the operators do holds for every
    size, but the checks would refuse images so small that a level has a single cell, as would the least
    sides that it concludes from them.
    """
    for size, bounds in program.range_constraints.items():
        program.range_constraints[size] = bounds | bounds.wrap(1)
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target in _CHECKS:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
