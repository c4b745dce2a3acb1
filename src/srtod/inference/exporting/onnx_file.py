"""ONNX files, written by torch's exporter and run by onnxruntime."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from srtod.detectors.weights import METADATA_KEY
from srtod.inference.exporting.nms import as_onnx
from srtod.inference.exporting.program import INPUTS, OUTPUTS
from srtod.inference.exporting.runtimes import Opened, extra, unreadable, without_description
from srtod.support.errors import InputError
from srtod.support.files import atomic_file

_OPSET = 18


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
    """The program in ONNX's operators, a ``torch.onnx.ONNXProgram``.

    Args:
        program: is used up: torch converts a program once.

    Raises:
        InputError: the extra is not installed, or ONNX has no operator for something in the program.
    """
    extra("onnxscript")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "ONNX export for RoIAlign")  # 0 means the same as torchvision's -1
        try:
            return torch.onnx.export(
                program,
                (),
                input_names=INPUTS,
                output_names=OUTPUTS,
                opset_version=_OPSET,
                custom_translation_table={torch.ops.srtod.grouped_nms.default: as_onnx},
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause = str(error.__cause__ or error).strip().partition("\n")[0]
            raise InputError(
                f"export: something in this detector has no translation to ONNX ({cause}); "
                "take --format torch, or another backbone"
            ) from error


def read(path: Path) -> Opened:
    """Open an ONNX file on the CPU, with as many threads as torch takes.

    Raises:
        InputError: the extra is not installed, or the file is damaged or not ours.
    """
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise unreadable(path, error) from error
    held = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in held:
        raise without_description(path)

    def run(images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(INPUTS, (images.numpy(), sizes.numpy()), strict=True))
        return tuple(torch.from_numpy(own) for own in session.run(OUTPUTS, given))

    return Opened(run, held[METADATA_KEY])
