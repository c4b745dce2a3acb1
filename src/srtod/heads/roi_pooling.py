"""Features of boxes, cut from the level that fits their size."""

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from srtod.heads.roi_align import roi_align


class RoIPooling(nn.Module):
    """RoIAlign on the level that fits each box (FPN, equation 1).

    Args:
        strides: of the levels that are read, lowest first.
        output_size: side of the square of features that each box gives.
        finest: boxes whose sqrt(area) is below twice this many pixels read the lowest level.
    """

    def __init__(self, *, strides: Sequence[int], output_size: int = 7, finest: float = 56.0) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.output_size = output_size
        self.finest = finest

    def level_of(self, boxes: Tensor) -> Tensor:
        """Index of the level that each of ``[N, 4]`` boxes reads, int64 ``[N]``; 0 for what is no number."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        level = (sides / self.finest + 1e-6).log2().floor().clamp(0, len(self.strides) - 1)
        return level.nan_to_num(0).long()

    def readable(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The levels that are read, as :meth:`cut` reads them: converted once, however often it is called."""
        return [level.float().contiguous() for level in levels[: len(self.strides)]]

    def cut(self, levels: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Cut features of ``rois`` ``[N, 5]``, index of the image and box, from :meth:`readable` levels.

        Returns:
            ``[N, C, output_size, output_size]``. Boxes that are no numbers, as a network that diverges makes
            them, read what one without area reads: the losses tell of them.
        """
        rois = rois.nan_to_num(0)
        if len(self.strides) == 1:
            return self._align(levels[0], rois, self.strides[0])
        if _host_waits(rois.device) and not torch.are_deterministic_algorithms_enabled():
            return self._cut_everywhere(levels, rois)
        level_of = self.level_of(rois[:, 1:])
        shape = (rois.shape[0], levels[0].shape[1], self.output_size, self.output_size)
        pooled = torch.zeros(shape, device=rois.device)  # float32: bfloat16 cannot tell pixel 1499 from 1496
        for number, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            rows = (level_of == number).nonzero().squeeze(1)
            pooled.index_copy_(0, rows, self._align(level, rois[rows], stride))
        return pooled

    def _cut_everywhere(self, levels: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Cut each box from every level, but from those that it does not read without area, which gives 0.

        The host need not know how many boxes read each level; a GPU hardly notices the zeros.
        """
        level_of = self.level_of(rois[:, 1:])[:, None]
        parts = (
            self._align(level, torch.where(level_of == number, rois, 0.0), stride)
            for number, (level, stride) in enumerate(zip(levels, self.strides, strict=True))
        )
        return reduce(torch.add, parts)

    def _align(self, level: Tensor, rois: Tensor, stride: int) -> Tensor:
        return roi_align(level, rois, self.output_size, 1 / stride)


def _host_waits(device: torch.device) -> bool:
    """Whether the host would have to wait for the device to read a value."""
    return device.type != "cpu" and not torch.compiler.is_exporting()


def rois_of(boxes: Sequence[Tensor]) -> Tensor:
    """Boxes ``[N_i, 4]`` of each image in one tensor ``[N, 5]``, each behind the index of its image."""
    image_of = torch.cat([torch.full_like(own[:, :1], index) for index, own in enumerate(boxes)])
    return torch.cat([image_of, torch.cat(list(boxes))], dim=1)
