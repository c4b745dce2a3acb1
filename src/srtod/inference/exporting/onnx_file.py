"""ONNX files, written by torch's exporter and run by onnxruntime."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from srtod.detectors.weights import METADATA_KEY
from srtod.inference.exporting.trace import INPUTS, OUTPUTS, Run
from srtod.support.errors import InputError, first_line, missing_extra
from srtod.support.files import atomic_file
from srtod.support.progress import say

_OPSET = 18

_PLACE = "pkg.torch.onnx.stack_trace"

_GPUS = ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider")

_OTHER_GROUP = -1.0
"""Stands for a score in groups that a box is not of; real scores are at least 0."""


def write(program: ExportedProgram, description: str, path: Path) -> None:
    """Write a program of standard ONNX operators.

    Raises:
        InputError: the extra is not installed, or the place cannot be written to.
    """
    made = converted(program)
    made.model.metadata_props[METADATA_KEY] = description
    with atomic_file(path) as scratch:
        made.save(scratch, external_data=False)


def converted(program: ExportedProgram) -> Any:
    """Return a program, which is used up, in ONNX's operators, as a ``torch.onnx.ONNXProgram``.

    Raises:
        InputError: the extra is not installed, or ONNX has no operator for something in the program.
    """
    extra("onnxscript")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ONNX export for RoIAlign")  # 0 means the same as torchvision's -1
        try:
            made = torch.onnx.export(
                program,
                (),
                input_names=INPUTS,
                output_names=OUTPUTS,
                opset_version=_OPSET,
                custom_translation_table={torch.ops.srtod.grouped_nms.default: grouped_nms_in_onnx},
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause = first_line(error.__cause__ or error)
            raise InputError(
                f"export: something in this detector has no translation to ONNX ({cause}); "
                "take --format torch, or another backbone"
            ) from error
    assert made is not None
    for node in made.model.graph.all_nodes():  # where on this machine its code stands
        node.metadata_props.pop(_PLACE, None)
    return made


def read(path: Path, *, gpu: bool = False) -> tuple[Run, str]:
    """Open an ONNX file on the CPU, with as many threads as torch takes.

    Args:
        path: the file.
        gpu: take a GPU where this build of ONNX Runtime has any; it is said where that does not start.

    Raises:
        InputError: the extra is not installed, or the program may never end.
    """
    runtime, onnx = extra("onnxruntime"), extra("onnx")
    model = onnx.load(path, load_external_data=False)
    inner = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
    if model.functions or any(own.type in inner for node in model.graph.node for own in node.attribute):
        raise InputError(f"{path}: has loops or functions of its own, which srtod export does not write")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    asked = [*_gpus(runtime)[:gpu], "CPUExecutionProvider"]
    session = runtime.InferenceSession(path, options, providers=asked)
    if asked[0] not in session.get_providers():
        say(f"{path}: ONNX Runtime's {asked[0]} does not start here, so that the CPU computes")

    def run(images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(INPUTS, (images.numpy(), sizes.numpy()), strict=True))
        return tuple(torch.from_numpy(own) for own in session.run(OUTPUTS, given))

    return run, session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")


def _gpus(runtime: Any) -> list[str]:
    """The providers of this build of ONNX Runtime that compute on a GPU, best first."""
    known = runtime.get_available_providers()
    return [name for name in _GPUS if name in known]


def extra(module: str) -> Any:
    """Import a module of the extra ``export``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra("export", f"exported files need {module}", error) from error


def grouped_nms_in_onnx(boxes: Any, scores: Any, groups: Any, iou: float) -> Any:
    """:func:`~srtod.boxes.nms.grouped_nms` by ONNX's NonMaxSuppression, whose classes are the groups.

    A box of no group at the end keeps the runtimes from seeing none at all.
    """
    op = extra("onnxscript").opset18
    count = op.Add(op.ReduceMax(op.Pad(groups, [0, 1], op.Constant(value_int=0)), keepdims=0), 1)
    number = op.Range(0, count, 1)
    member = op.Equal(op.Unsqueeze(number, [1]), op.Unsqueeze(groups, [0]))
    own = op.Where(member, op.Unsqueeze(scores, [0]), op.Constant(value_float=_OTHER_GROUP))
    own = op.Pad(own, [0, 0, 0, 1], op.Constant(value_float=_OTHER_GROUP))
    padded = op.Pad(boxes, [0, 0, 1, 0], op.Constant(value_float=0.0))
    most = op.Shape(padded, start=0, end=1)
    chosen = op.NonMaxSuppression(
        op.Unsqueeze(padded, [0]),
        op.Unsqueeze(own, [0]),
        most,
        op.Constant(value_floats=[iou]),
        op.Constant(value_floats=[_OTHER_GROUP / 2]),
    )
    kept = op.Reshape(op.Slice(chosen, [2], [3], [1]), [-1])
    _, order = op.TopK(op.Gather(scores, kept), op.Shape(kept))
    return op.Gather(kept, order)
