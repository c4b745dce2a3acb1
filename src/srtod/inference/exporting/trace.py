"""From a detector to a graph of tensor operators, open for any number and size of images."""

import torch
from torch.export import Dim, ExportedProgram

from srtod.detectors.detector import Detector
from srtod.inference.exporting.program import INPUTS, Program
from srtod.inference.speed import for_inference
from srtod.support.errors import InputError, first_line

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
    size, but the checks would refuse images so small that a level has a single cell.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target in _CHECKS:
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
