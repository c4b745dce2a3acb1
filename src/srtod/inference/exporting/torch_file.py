"""PyTorch's exported programs (.pt2), which need torch and torchvision and no code of ours."""

import warnings
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
    with atomic_file(path) as scratch:
        torch.export.save(plain, scratch, extra_files={_ENTRY: description})


def read(path: Path) -> tuple[Run, str]:
    """Open a program on the CPU, which can execute any code: it is asked for with ``trust_weights`` alone."""
    entries = {_ENTRY: ""}
    program = torch.export.load(path, extra_files=entries)
    return program.module(), entries[_ENTRY]
