"""The mechanism that all families share: hooks bring the image and the level to one module."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from srtod.detectors.maps import image_maps
from srtod.nn.kept import kept as keep
from srtod.nn.modes import enough_to_normalise, evaluating
from srtod.selfrec import SelfReconstruction, SelfReconstructionConfig, SelfReconstructionOutput
from srtod.support.errors import InputError, first_line

LOSS = "loss_reconstruction"
PROBE_SIZE = 256
"""Sides in pixels of the blank image that shows a model's channels and stride."""
_UNSEEN = (
    "srtod.attach: nothing was enhanced in this pass, because parts of the model were replaced (detach and "
    "attach again) or no image was given"
)

Maps = tuple[Tensor, SelfReconstructionOutput, Tensor]
"""The level before, what self-reconstruction made of it, and the valid pixels."""


@dataclass
class Pass:
    """A forward pass of the whole model.

    Attributes:
        with_loss: the model computes losses in it.
        batch: image and valid pixels, once seen.
        enhanced: the level was.
        output: what self-reconstruction made of it, where somebody reads more than the level.
    """

    with_loss: bool
    batch: tuple[Tensor, Tensor] | None = None
    enhanced: bool = False
    output: SelfReconstructionOutput | None = None


class ThreadState(threading.local):
    """What one thread is about: the pass under way, and the maps it keeps.

    Another thread, a copy of the model and its file begin with nothing. An interruption (Ctrl-C), of which
    torch tells no hook, leaves its pass under way until the next one begins.
    """

    kept: list[Maps] | None = None
    under_way: Pass | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


class Joint(Protocol):
    """Where self-reconstruction meets the models of one family. It is plain data, copied with the model.

    Models are ``Any`` here: their parts are known by name, not by type.
    """

    def probe(self, model: Any) -> tuple[Tensor, tuple[int, int]]:
        """The level to enhance, ``[1, C, h, w]``, of a blank image, and that image's (height, width)."""
        ...

    def hook(self, model: Any, attachment: "Attachment") -> list[RemovableHandle]:
        """Register the hooks that feed the attachment and add its loss."""
        ...

    def show(self, model: Any, image: Tensor) -> None:
        """Run the model on one image ``[3, H, W]``, RGB in 0..1."""
        ...


class Attachment(SelfReconstruction):
    """Self-reconstruction that hooks feed: :meth:`begin`, :meth:`see`, :meth:`enhance`, :meth:`finish`.

    Only within a forward pass of the whole model is anything seen, enhanced and held, for each thread by
    itself: a part called alone does what it did before, and a model with it can be copied and pickled.

    Args:
        channels: of the level.
        stride: of the level, in pixels.
        config: the switches.
        joint: where the hooks sit.
    """

    def __init__(self, *, channels: int, stride: int, config: SelfReconstructionConfig, joint: Joint) -> None:
        super().__init__(channels=channels, strides=[stride], config=config)
        self.joint = joint
        self.handles: list[RemovableHandle] = []
        self._thread = ThreadState()

    @classmethod
    def fitting(cls, model: nn.Module, joint: Joint, config: SelfReconstructionConfig) -> Self:
        """Build it for the level that the model shows on a blank image, in that level's place.

        Its parameters are in float32 even where the model is in half precision: the threshold, 4/255, learns
        in steps that bfloat16 would round away.

        Raises:
            InputError: the model does not take RGB, the level's channels or stride do not suit the head, or
                the switches need boxes or several levels.
        """
        if config.levels > 1:
            raise InputError(f"attach: levels={config.levels}: one level is all that is enhanced; take 1")
        if config.mask == "boxes":
            raise InputError("attach: mask='boxes' is for srtod's own detectors; take 'difference'")
        level, size = _probed(model, joint)
        channels, stride = level.shape[1], stride_of(level, size)
        try:
            own = cls(channels=channels, stride=stride, config=config, joint=joint)
        except ValueError as error:
            raise InputError(f"attach: {error}; head='lite' takes any number of channels") from error
        return own.to(level.device, torch.promote_types(level.dtype, torch.float32)).train(model.training)

    # What asks for the memory of a thread is not compiled: torch.compile does not know it.
    @property
    @torch.compiler.disable
    def under_way(self) -> Pass | None:
        """The forward pass of the whole model that this thread is within."""
        return self._thread.under_way

    @torch.compiler.disable
    def begin(self, *, with_loss: bool) -> None:
        """Begin a forward pass of the whole model; a hook on the model calls this.

        Args:
            with_loss: the model computes losses in it.
        """
        self._thread.under_way = Pass(with_loss)

    def see(self, image: Tensor, valid: Tensor, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take the batch of the forward pass under way.

        Args:
            image: normalised ``[B, 3, H, W]``.
            valid: bool ``[B, 1, H, W]``, False in the padding.
            mean: three numbers, what was subtracted from RGB in 0..1.
            std: three numbers, what it was divided by then.
        """
        if (now := self.under_way) is None:
            return
        shift, scale = _colours(tuple(mean), tuple(std), image.device)
        now.batch = torch.where(valid, image.float() * scale + shift, 0.0), valid

    def enhance(self, level: Tensor) -> Tensor:
        """The level ``[B, C, h, w]`` enhanced; as it is where no image was seen.

        Raises:
            InputError: the level does not cover the image, in cells as large as its stride.
        """
        now, kept = self.under_way, self._thread.kept
        if now is None or now.batch is None:
            return level
        image, valid = now.batch
        self._check(level, image)
        now.enhanced = True
        precise = level.to(next(self.parameters()).dtype)
        if not now.with_loss and kept is None:
            return self.enhanced([precise], image, valid)[0].to(level.dtype)
        now.output = self([precise], image, valid)
        if kept is not None:
            kept.append((level, now.output, valid))
        return now.output.levels[0].to(level.dtype)

    def finish(self, output: Any) -> Tensor | None:
        """End the forward pass and give its loss, None where the model computes none.

        Args:
            output: of the model, None after an error.

        Raises:
            InputError: nothing was enhanced, because a module of the model was replaced or no image given.
        """
        done = self._end()
        if output is None:
            return None
        if done is None or not done.enhanced:
            raise InputError(_UNSEEN)
        if not done.with_loss or done.output is None or done.batch is None:
            return None
        losses = self.losses(done.output, *done.batch, boxes=(), ignore=())
        return torch.stack(list(losses.values())).sum()

    @torch.compiler.disable
    def _end(self) -> Pass | None:
        ended, self._thread.under_way = self._thread.under_way, None
        return ended

    def _check(self, level: Tensor, image: Tensor) -> None:
        size, cells = tuple(image.shape[-2:]), tuple(level.shape[-2:])
        if cells != _cells(size, self.stride):
            raise InputError(
                f"attach: the feature map of a batch of {size[0]} x {size[1]} pixels has "
                f"{cells[0]} x {cells[1]} cells of {self.stride}, which do not cover it; "
                f"pad the images to multiples of {self.stride}"
            )

    def maps(self, run: Callable[[], None], image: Tensor) -> dict[str, Tensor]:
        """The maps that a forward pass ``run`` of one image ``[3, H, W]`` makes (see ``image_maps``)."""
        height, width = image.shape[1:]
        small = (
            f"explain: an image of {width} x {height} pixels is too small for this model; give a larger one"
        )
        self._thread.kept = kept = []
        try:
            with enough_to_normalise(small):
                run()
        finally:
            self._thread.kept = None
        if not kept:
            raise InputError(_UNSEEN)
        before, output, valid = kept[0]
        seen = (int(valid[0, 0, :, 0].sum()), int(valid[0, 0, 0].sum()))
        return image_maps(before, output, stride=self.stride, size=seen, shown=(height, width))


def _probed(model: nn.Module, joint: Joint) -> tuple[Tensor, tuple[int, int]]:
    try:
        with evaluating(model):
            return joint.probe(model)
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        if "channel" not in reason:  # out of memory, say
            raise
        raise InputError(
            f"attach: RGB images are needed, and this {type(model).__name__} does not take a blank one "
            f"({reason}); build it for three channels"
        ) from error


def stride_of(level: Tensor, size: tuple[int, int]) -> int:
    """The stride of a level ``[B, C, h, w]`` of an image of that (height, width).

    Raises:
        InputError: it is not a power of two from 2.
    """
    cells = tuple(level.shape[-2:])
    stride = 2 ** max(round(log2(size[0] / cells[0])), 1)
    if cells != _cells(size, stride):
        raise InputError(
            f"attach: the finest feature map of an image of {size[0]} x {size[1]} pixels has "
            f"{cells[0]} x {cells[1]} cells, but its stride must be a power of two from 2; build the model "
            "with layers of such a stride, and a fixed size that is a multiple of it"
        )
    return stride


def _cells(size: tuple[int, ...], stride: int) -> tuple[int, ...]:
    return tuple(ceil(side / stride) for side in size)


@keep(16)
def _colours(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> list[Tensor]:
    """Mean and standard deviation ``[3, 1, 1]`` on a device, sent there once."""
    return [torch.tensor(own, device=device)[:, None, None] for own in (mean, std)]
