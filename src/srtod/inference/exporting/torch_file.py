"""PyTorch's exported programs (.pt2), which need torch and torchvision and no code of ours."""

import warnings
from io import BytesIO
from pathlib import Path

import torch
from torch.export import ExportedProgram

from srtod.boxes.nms import nms_in_one_plane
from srtod.detectors.weights import METADATA_KEY
from srtod.inference.exporting.trace import Run, drop_checks
from srtod.support.files import atomic_file

_ENTRY = f"{METADATA_KEY}.json"


def write(program: ExportedProgram, description: str, path: Path) -> None:
    """Write a program of torch's and torchvision's operators.

    Raises:
        InputError: the place cannot be written to.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*create_unbacked_symint", FutureWarning)  # torchvision calls it
        plain = program.run_decompositions({torch.ops.srtod.grouped_nms.default: nms_in_one_plane})
    drop_checks(plain)
    plain.example_inputs = None
    for node in plain.graph_module.graph.nodes:  # where on this machine its code stands
        node.meta.pop("stack_trace", None)
        node.meta.pop("from_node", None)
    file = BytesIO()  # a file on disk would hold its name, which is a passing one
    torch.export.save(plain, file, extra_files={_ENTRY: description})
    with atomic_file(path) as scratch:
        scratch.write_bytes(file.getbuffer())


def read(path: Path) -> tuple[Run, str]:
    """Open a program on the CPU, which can execute any code: it is asked for with ``trust_weights`` alone."""
    entries = {_ENTRY: ""}
    program = torch.export.load(path, extra_files=entries)
    return program.module(), entries[_ENTRY]
