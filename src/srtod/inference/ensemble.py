"""Several detectors of the same classes that look at each image and are fused into one."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from srtod.data.depth import stretch_of
from srtod.inference.fusing import FusedFinder
from srtod.inference.operating import config_of
from srtod.nn.modes import evaluating
from srtod.support.errors import InputError
from srtod.types import Detections, Finder

Weights = str | Path | list[str | Path] | tuple[str | Path, ...]
"""A file, a name, or several of them: a list, or a text with commas."""


class Ensemble(FusedFinder):
    """Finds what its members find together; a box that only some of them see has a lower score.

    Args:
        members: at least two, with the same classes in the same order. The first one tells whatever else is
            asked for, such as maps.

    Attributes:
        config: of the first member, without the scores that it alone was calibrated for.

    Raises:
        InputError: other classes, another way to read files of more than 8 bits, or soft suppression.
    """

    def __init__(self, members: Sequence[Finder]) -> None:
        super().__init__(*members)
        first = members[0]
        for own in members[1:]:
            if own.classes != first.classes:
                raise InputError(
                    f"weights: an ensemble needs the same classes in the same order, not "
                    f"{', '.join(first.classes)} and {', '.join(own.classes)}"
                )
            if stretch_of(own) != stretch_of(first):
                raise InputError(
                    f"weights: these read files of more than 8 bits in two ways, {stretch_of(first)} and "
                    f"{stretch_of(own)}; --stretch says one"
                )
        self.members = members
        self.config = {**config_of(first), "operating_point": None}

    def __call__(self, images: Sequence[Tensor], /) -> list[Detections]:
        """Find objects in images, float ``[3, H, W]`` each, RGB in 0..1, of any sizes."""
        return self.fused([self._found_by(member, images) for member in self.members])

    def _found_by(self, member: Finder, images: Sequence[Tensor]) -> list[Detections]:
        """What a member finds, which may be on another device, as exported programs are."""
        with evaluating(member):
            found = member([image.to(member.device) for image in images])
        return [
            Detections(
                boxes=own["boxes"].to(self.device),
                scores=own["scores"].to(self.device),
                labels=own["labels"].to(self.device),
            )
            for own in found
        ]


def members_of(weights: Weights) -> list[str | Path]:
    """The weights of each member; a text names several by commas, unless there is a file of that name.

    Raises:
        InputError: nothing stands beside a comma, there is no member, or one is neither a file nor a name.
    """
    if isinstance(weights, Path) or (isinstance(weights, str) and Path(weights).exists()):
        return [weights]
    members = [*map(str.strip, weights.split(","))] if isinstance(weights, str) else [*weights]
    if not all(isinstance(own, str | Path) for own in members):
        raise InputError("weights: a list of files or names is needed; fuse loaded detectors by Ensemble")
    if not members or not all(map(str, members)):
        raise InputError(f"weights {weights!r}: give one or more, separated by commas")
    return members
