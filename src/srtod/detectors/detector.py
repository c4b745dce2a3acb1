"""The one line: preprocess, pyramid, self-reconstruction, head."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from srtod.assets import SHIPPED
from srtod.defaults import Precision
from srtod.detectors.border.images import check_image, check_images
from srtod.detectors.border.targets import read_targets
from srtod.detectors.card import CARD, card
from srtod.detectors.config import DetectorConfig
from srtod.detectors.maps import image_maps
from srtod.detectors.preprocess import Preprocess
from srtod.detectors.weights import read_weights, weights_file, write_weights
from srtod.heads.base import Head
from srtod.nn.finite import require_sane_outputs
from srtod.nn.modes import enough_to_normalise, evaluating
from srtod.pyramids.base import Pyramid
from srtod.selfrec import SelfReconstruction
from srtod.support import hub
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import require_free, write_text
from srtod.types import Detections, ImageBatch, Target, Truth


class Detector(nn.Module):
    """Images to losses (training) or detections (evaluation).

    Args:
        config: what the parts were built from; :meth:`save` writes it into the file.
        preprocess: images to a batch.
        pyramid: batch to levels.
        self_reconstruction: enhances the lowest level; None leaves the levels as they are.
        head: levels to losses or detections.
    """

    def __init__(
        self,
        *,
        config: DetectorConfig,
        preprocess: Preprocess,
        pyramid: Pyramid,
        self_reconstruction: SelfReconstruction | None,
        head: Head,
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.pyramid = pyramid
        self.self_reconstruction = self_reconstruction
        self.head = head
        self._config = config
        self._has_seen = False  # images, whose values are looked at on a GPU in the first batch alone

    @classmethod
    def build(cls, config: DetectorConfig) -> Self:
        """Build the detector that a configuration describes.

        Raises:
            InputError: it has no classes, or describes parts that do not go together.
        """
        if not config.classes:
            raise InputError("classes: give at least one name")
        pyramid, head = config.parts()
        return cls(
            config=config,
            preprocess=Preprocess(resize=config.resize),
            pyramid=pyramid,
            self_reconstruction=_self_reconstruction(config, pyramid),
            head=head,
        )

    @classmethod
    def sharing(cls, other: "Detector", *, self_reconstruction: bool = True) -> Self:
        """A detector of this class with the parts of another, weights included.

        Args:
            other: stays as it is.
            self_reconstruction: False leaves it out, so that the head reads the levels as they are. That is
                the detector whose enhancement is switched off, not one that was trained without.
        """
        changes: dict[str, Any] = {} if self_reconstruction else {"self_reconstruction": None}
        made = cls(
            config=other._config.model_copy(update=changes),
            preprocess=other.preprocess,
            pyramid=other.pyramid,
            self_reconstruction=other.self_reconstruction if self_reconstruction else None,
            head=other.head,
        )
        made.training = other.training
        return made

    @property
    def config(self) -> dict[str, Any]:
        """What rebuilds this detector, as plain values: ``build_detector(**detector.config)``."""
        return self._config.model_dump(mode="json")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self._config.classes

    @property
    def device(self) -> torch.device:
        """Where the weights lie, and the images go."""
        return next(self.parameters()).device

    @property
    def parameters_apart(self) -> tuple[nn.Parameter, ...]:
        """Those that share no loss with any other: of a self-reconstruction that is there to be looked at."""
        switches = self._config.self_reconstruction
        if self.self_reconstruction is None or switches is None or switches.changes_detections:
            return ()
        return tuple(self.self_reconstruction.parameters())

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Losses in training mode, detections in evaluation mode.

        Args:
            images: ``[3, H, W]`` each, RGB as floats in 0..1 or as uint8; sizes may differ.
            targets: ground truth of each image; needed in training mode, not read in evaluation mode.

        Returns:
            Training: losses by name, whose sum is the training loss; those of the self-reconstruction are
            ``loss_reconstruction`` and, where the mask is predicted, ``loss_mask``. Evaluation: detections of
            each image, boxes in its pixels.

        Raises:
            InputError: images or targets are missing or wrong, with the index of the image, or of the target
                and the box (on a GPU values of images are looked at in the first batch alone); BatchNorm in
                training mode has too little to count; or the detector was cast to another type than float32.
        """
        check_images(images, wait=not self._has_seen)
        self._has_seen = True
        batch = self.preprocess(images)
        if not self.training:
            return self._detect(batch)
        truths = read_targets(
            targets,
            sizes=[(image.shape[1], image.shape[2]) for image in images],
            scales=batch.scales,
            num_classes=len(self.classes),
            device=batch.raw.device,
        )
        with enough_to_normalise(_too_small(batch)):
            return self._losses(batch, truths)

    def explain(self, image: Tensor) -> dict[str, Tensor]:
        """What self-reconstruction sees in one image.

        Args:
            image: float ``[3, H, W]``, RGB in 0..1.

        Returns:
            ``reconstruction`` ``[3, H, W]`` and ``difference`` ``[1, H, W]`` at the image's size, ``mask``
            ``[1, h, w]``, ``features_before`` and ``features_after`` ``[C, h, w]`` at the lowest level's.

        Raises:
            InputError: this detector has no self-reconstruction, or the image is wrong.
        """
        check_image(image)
        if self.self_reconstruction is None:
            raise InputError(
                "this detector has no self-reconstruction, so there are no maps to explain it by"
            )
        with evaluating(self):
            batch = self.preprocess([image])
            levels = self.pyramid(batch.normalised)
            output = self.self_reconstruction(levels, batch.raw, batch.valid)
        return image_maps(
            levels[0],
            output,
            stride=self.pyramid.strides[0],
            size=batch.sizes[0],
            shown=(image.shape[1], image.shape[2]),
        )

    def predict(
        self,
        source: object,
        slice: Any = None,
        score_threshold: float | None = None,
        precision: Precision = "fp32",
        batch_size: int = 1,
        scales: Sequence[float] = (1.0,),
        flips: bool = False,
    ) -> Iterator[Any]:
        """Find objects in images: files, arrays, Pillow images, tensors, or lists of those.

        It is :func:`srtod.inference.predict.predict` with this detector, in evaluation mode and where it is.
        """
        predict = import_module("srtod.inference").predict  # which stands on detectors
        return predict(
            source,
            self,
            slice,
            score_threshold,
            precision=precision,
            batch_size=batch_size,
            scales=scales,
            flips=flips,
        )

    @classmethod
    def from_pretrained(cls, source: str | Path = SHIPPED, **changes: Any) -> Self:
        """Load a detector: :func:`srtod.load` by the name that users of the hub know."""
        path = weights_file(source)
        state, config = read_weights(path, partial(cls._filled, path))
        own = config.open_options()
        for name in changes:
            if name not in own:
                raise InputError(
                    f"load: {name!r} cannot be changed{did_you_mean(name, own)}; given weights of "
                    f"{config.system} leave open: {', '.join(own)}"
                )
        if changes.get("score_threshold") is not None:
            changes = {"operating_point": None} | changes
        detector = cls._filled(path, state, config.changed(changes, where="load")).eval()
        with require_sane_outputs(detector, str(path)):
            detector._detect(detector.preprocess([torch.full((3, 32, 160), 0.5)]))
        return detector

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write what a repository of the hub holds: ``model.safetensors`` and, unless there is one, a card.

        Raises:
            InputError: the weights are there (unless ``overwrite``), or the place cannot be written to.
        """
        folder = Path(folder)
        self.save(folder / hub.WEIGHTS, overwrite=overwrite)
        if not (folder / CARD).exists():
            write_text(folder / CARD, card(self._config))

    def push_to_hub(self, repository: str, *, private: bool = False, message: str = "srtod detector") -> str:
        """Put weights and a card into a repository of the hub, which is made if it is not there.

        A card that is there stays as it is. The token is the one of ``hf auth login`` or ``HF_TOKEN``.

        Args:
            repository: ``owner/name``.
            private: whether a new repository is.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            InputError: the hub cannot be reached or refuses.
        """
        with tempfile.TemporaryDirectory() as scratch:
            self.save_pretrained(scratch)
            return hub.upload(Path(scratch), repository, private=private, message=message, keep=(CARD,))

    def save(self, path: str | Path, *, half: bool = False, overwrite: bool = False) -> None:
        """Write weights, configuration and version to one safetensors file, whole or not at all.

        Args:
            path: the file.
            half: write numbers of 16 bits, for a file of half the size; :func:`~srtod.load` makes 32 of them.
            overwrite: replace a file that is there.

        Raises:
            InputError: the file is there, the place cannot be written to, or a number is too large for 16
                bits.
        """
        require_free(Path(path), overwrite=overwrite)
        write_weights(Path(path), self.state_dict(), self._config, half=half)

    @classmethod
    def _filled(cls, path: Path, state: Mapping[str, Tensor], config: DetectorConfig) -> Self:
        """Build a detector with the weights of a file."""
        try:
            detector = cls.build(config)
            detector.load_state_dict(state)
        except InputError:
            raise
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # as sizes are absurd or others
            raise InputError(f"{path}: its weights do not fit its configuration") from error
        return detector

    def _losses(self, batch: ImageBatch, truths: list[Truth]) -> dict[str, Tensor]:
        levels = self.pyramid(batch.normalised)
        copies = self.pyramid.training_copies
        if copies > 1:
            batch, truths = batch.repeated(copies), truths * copies
        if self.self_reconstruction is None:
            return self.head.loss(levels, batch, truths)
        valid = batch.valid
        output = self.self_reconstruction(levels, batch.raw, valid)
        losses = self.self_reconstruction.losses(
            output,
            batch.raw,
            valid,
            boxes=[truth.boxes for truth in truths],
            ignore=[truth.ignore_regions for truth in truths],
        )
        return losses | self.head.loss(output.levels, batch, truths)

    @torch.no_grad()
    def _detect(self, batch: ImageBatch) -> list[Detections]:
        levels = self.pyramid(batch.normalised)
        if self.self_reconstruction is not None:
            levels = self.self_reconstruction.enhanced(levels, batch.raw, batch.valid)
        return self.preprocess.restore(self.head.detect(levels, batch.size_table), batch)


def _self_reconstruction(config: DetectorConfig, pyramid: Pyramid) -> SelfReconstruction | None:
    if config.self_reconstruction is None:
        return None
    try:
        return SelfReconstruction(
            channels=pyramid.channels, strides=pyramid.strides, config=config.self_reconstruction
        )
    except ValueError as error:
        raise InputError(f"self_reconstruction: {error}; change its switches or pyramid_channels") from error


def _too_small(batch: ImageBatch) -> str:
    height, width = batch.normalised.shape[-2:]
    return (
        f"images[0]: a batch of one image of {width} x {height} pixels with padding is too small for "
        "BatchNorm in training mode; give larger images or batches, or build with norm_eval=True "
        "(--set model.norm_eval=true)"
    )
