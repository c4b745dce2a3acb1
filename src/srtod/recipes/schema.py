"""What a recipe may say: every key, its type, its default and its meaning."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from srtod.defaults import Metric, Precision
from srtod.detectors.config import DetectorConfig
from srtod.detectors.systems import options_of

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(gt=0)]


DEFAULT_SYSTEM = "faster-rcnn"


def _of_a_system(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    system = values.get("system", DEFAULT_SYSTEM)
    if values.get("classes"):
        raise ValueError("the classes come from the data; leave model.classes out")
    return options_of(system).model_validate(values)


ModelRecipe = Annotated[SerializeAsAny[DetectorConfig], BeforeValidator(_of_a_system)]
"""The options of the system that its key ``system`` names, Faster R-CNN without one; but the classes."""


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AboutRecipe(Section):
    """Where the settings come from; decides nothing.

    Attributes:
        dataset: what they were made for.
        source: where they, and the result to compare with, are published.
    """

    dataset: str = ""
    source: str = ""


class DataRecipe(Section):
    """What happens to the training images before the detector sees them.

    Attributes:
        horizontal_flip, vertical_flip: probability of mirroring.
        crop: side of a square piece cut out at random, in pixels; none: the whole image.
        slice: side of slices that cover every image once an epoch, in pixels; none: whole images, or pieces.
        slice_overlap: the part of its side that a slice shares with the next one.
        empty_slices: share of the slices without an object that are learned from.
        crop_on_objects: probability that the piece is laid around an object, so that sparse images do not
            give mostly empty pieces.
        mine_every: epochs between two looks at the training images for what the detector takes for objects
            where nothing is; from then on pieces that are not laid around an object are laid around those.
            0: never.
        scale_jitter: images, or pieces, are scaled by a factor of 1 / (1 + x) to 1 + x, so that objects
            appear from nearer and farther.
        paste: copies of the piece's own objects, 0 to this many, that are pasted at free places of it.
        brightness, contrast: change each by a factor drawn from 1 - x to 1 + x.
        gamma, invert, grey, blur, noise, jpeg: see :class:`~srtod.data.transforms.Degrade`.
        negatives: folder of images that show none of the objects, to learn from beside the others; for the
            lights, birds or waves that are taken for objects.
        images_without_boxes: train on images in which nothing is marked, too.
    """

    horizontal_flip: Share = 0.5
    vertical_flip: Share = 0.0
    crop: Pixels | None = None
    crop_on_objects: Share = 0.5
    mine_every: Annotated[int, Field(ge=0)] = 0
    slice: Pixels | None = None
    slice_overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    empty_slices: Share = 0.1
    scale_jitter: Annotated[float, Field(ge=0, le=4)] = 0.0
    paste: Annotated[int, Field(ge=0, le=1000)] = 0
    brightness: Share = 0.0
    contrast: Share = 0.0
    gamma: Annotated[float, Field(ge=0, le=4)] = 0.0
    invert: Share = 0.0
    grey: Share = 0.0
    blur: Annotated[float, Field(ge=0, le=10)] = 0.0
    noise: Share = 0.0
    jpeg: Share = 0.0
    negatives: str | None = None
    images_without_boxes: bool = True

    @property
    def piece(self) -> int | None:
        """Side of what is learned from at once, in pixels; None: whole images."""
        return self.crop or self.slice

    @model_validator(mode="after")
    def _one_kind_of_piece(self) -> "DataRecipe":
        if self.crop is not None and self.slice is not None:
            raise ValueError("crop cuts pieces at random and slice covers the image: leave one of them out")
        if self.mine_every and self.crop is None:
            raise ValueError("mine_every is about where pieces are laid: give crop, too, or leave it out")
        return self


class TrainRecipe(Section):
    """The schedule.

    Attributes:
        epochs: passes over the training images.
        batch_size: images of one optimizer step, over all processes and accumulation steps together, so that
            a learning rate means the same wherever the recipe runs.
        accumulation: forward and backward passes that one optimizer step is split into.
        optimizer: ``sgd`` or ``adamw``.
        lr: learning rate after the warm-up.
        momentum: of SGD; beta 1 of AdamW.
        weight_decay: of SGD on every trained parameter but the threshold of self-reconstruction, of AdamW on
            matrices and kernels alone.
        only: parts of the detector whose parameters are trained, such as ``head`` or ``self_reconstruction``,
            while all others stay as they start (``--init``); empty: all of it.
        lr_factors: factors of the learning rate for parameters whose name ends with a key; a key that fits
            none does nothing, so that a recipe may switch self-reconstruction off. AdamW moves every number
            by about the learning rate in a step, whatever its gradient: much for a small threshold.
        warmup_steps, warmup_factor: the learning rate rises linearly from ``lr * warmup_factor``, in
            a tenth of all steps at most.
        schedule: ``steps`` (times ``gamma`` after each epoch in ``milestones``) or ``cosine`` (to zero).
        milestones, gamma: of the schedule ``steps``.
        clip_norm: bound of the gradient's norm; none: no bound. Maps that change no detections have one
            of their own.
        ema: decay of the moving average of the weights that is evaluated and saved; none: the weights
            themselves.
        precision: ``fp32``, ``bf16`` or ``fp16``; validation runs in it, too.
        deterministic: on a GPU, take only kernels that give the same bits each time, which is slower; so that
            a resumed run ends with the same weights to the bit, as on a CPU.
        repeat_below: images with a class that less than this share of the images show come more than once an
            epoch, by the square root of the ratio (repeat-factor sampling); each copy is augmented anew.
        seed: of the weights, the order of the images and every other choice made at random.
        workers: processes that read images, beside each training process; none: by the number of cores.
        patience: evaluations without a better score after which training stops; none: it goes on to the end.
        evaluate_every: epochs between two evaluations on the validation set; 0: never.
        best_by: metric by which the best weights are told.
        log_every: steps between two lines of metrics.jsonl; on a GPU, between two looks at the losses.
        save_every: steps between two saved states, from which training can go on.
    """

    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=2, ge=1)
    accumulation: int = Field(default=1, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.005, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    only: Annotated[
        tuple[str, ...], BeforeValidator(lambda own: (own,) if isinstance(own, str) else own)
    ] = ()
    lr_factors: dict[str, Annotated[float, Field(ge=0)]] = {}
    warmup_steps: int = Field(default=500, ge=0)
    warmup_factor: float = Field(default=0.001, gt=0, le=1)
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Precision = "fp32"
    deterministic: bool = False
    repeat_below: Share = 0.0
    seed: int = Field(default=0, ge=0)
    workers: Annotated[int, Field(ge=0)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    evaluate_every: int = Field(default=1, ge=0)
    best_by: Metric = "AP"
    log_every: int = Field(default=10, ge=1)
    save_every: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def _splits_evenly(self) -> "TrainRecipe":
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be split by accumulation {self.accumulation}"
            )
        return self


class Recipe(Section):
    """Everything that decides what is trained and how; made by :func:`srtod.recipes.load_recipe`."""

    about: AboutRecipe = AboutRecipe()
    model: ModelRecipe = Field(default={}, validate_default=True)
    data: DataRecipe = DataRecipe()
    train: TrainRecipe = TrainRecipe()
