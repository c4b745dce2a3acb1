"""The work of ``srtod explain``: one image in, one new folder with its maps out."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from srtod.data.depth import stretch_of
from srtod.data.images import read_image
from srtod.defaults import PICTURE_SCORE
from srtod.detectors.detector import Detector
from srtod.inference.addresses import Address
from srtod.inference.inputs import to_tensor
from srtod.plots import explain_figure
from srtod.plots.panels import panels_of
from srtod.support.errors import InputError
from srtod.support.files import atomic_folder

DOTS_PER_INCH = 200


def explain_file(
    detector: Detector,
    path: str | Path | Address,
    output: Path,
    *,
    truth: ArrayLike | None = None,
    min_score: float = PICTURE_SCORE,
) -> list[Path]:
    """Write ``explain.png``, each map as a picture, and ``maps.npz`` with the raw arrays into a new folder.

    Args:
        detector: in evaluation mode, with self-reconstruction.
        path: the image.
        output: a folder that does not exist yet or is empty.
        truth: ``[N, 4]``, x1 y1 x2 y2 of the marked objects in pixels of the image.
        min_score: detections below are not drawn.

    Returns:
        The files that were written.

    Raises:
        InputError: the detector has no self-reconstruction, the image cannot be read, or ``output`` cannot be
            written.
    """
    if detector.config["self_reconstruction"] is None:
        raise InputError(
            "these weights are of a detector without self-reconstruction, so there are no maps; "
            "take weights trained with self_reconstruction, or use 'srtod predict'"
        )
    image = read_image(path, stretch=stretch_of(detector))
    tensor = to_tensor(image, detector.device)
    with torch.inference_mode():
        found = detector([tensor])[0]
        maps = {name: values.float().cpu().numpy() for name, values in detector.explain(tensor).items()}
    sure = found["boxes"][found["scores"] >= min_score].float().cpu().numpy()
    with atomic_folder(output) as folder:
        figure = explain_figure(image, maps, truth=truth, detections=sure, title=Path(str(path)).name)
        figure.savefig(folder / "explain.png", dpi=DOTS_PER_INCH)
        for panel in panels_of(image, maps):
            panel.picture((image.shape[1], image.shape[0])).save(folder / f"{panel.name}.png")
        np.savez(folder / "maps.npz", **maps)
        names = sorted(written.name for written in folder.iterdir())
    return [output / name for name in names]
