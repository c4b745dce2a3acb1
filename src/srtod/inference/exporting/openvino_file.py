"""OpenVINO files: the ONNX program in OpenVINO's own form."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from srtod.detectors.weights import METADATA_KEY
from srtod.inference.exporting.onnx_file import converted, extra
from srtod.inference.exporting.trace import INPUTS, OUTPUTS, Run
from srtod.support.errors import InputError
from srtod.support.files import atomic_file

_KEYS = [METADATA_KEY, "description"]


def write(program: ExportedProgram, description: str, path: Path) -> None:
    """Write ``path`` (.xml, the operators) and a file of the same name with the ending .bin (the weights).

    Raises:
        InputError: the extra is not installed, or the place cannot be written to.
    """
    openvino = extra("openvino")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        converted(program).save(folder / "program.onnx", external_data=False)
        model = openvino.Core().read_model(folder / "program.onnx")
        model.set_rt_info(description, _KEYS)
        openvino.save_model(model, folder / "program.xml", compress_to_fp16=False)
        for suffix in (".bin", ".xml"):  # the file that people name comes last, when all is there
            with atomic_file(path.with_suffix(suffix)) as scratch:
                scratch.write_bytes((folder / f"program{suffix}").read_bytes())


def read(path: Path) -> tuple[Run, str]:
    """Open an OpenVINO file on the CPU in full precision, with as many threads as torch takes.

    Raises:
        InputError: the extra is not installed, or the program may never end.
    """
    core = extra("openvino").Core()
    model = core.read_model(path)
    if any(own.get_type_name() in ("Loop", "TensorIterator", "If") for own in model.get_ops()):
        raise InputError(f"{path}: has loops, which srtod export does not write")
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", settings)

    def run(images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        found = compiled(dict(zip(INPUTS, (images.numpy(), sizes.numpy()), strict=True)))
        return tuple(torch.from_numpy(found[name].copy()) for name in OUTPUTS)

    return run, model.get_rt_info(_KEYS).value if model.has_rt_info(_KEYS) else ""
