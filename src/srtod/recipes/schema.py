"""What a recipe may say: every key, its type, its default and its meaning."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from srtod.selfrec import SelfReconstructionConfig

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(gt=0)]


def _switch_or_section(value: Any) -> Any:
    """``true`` means self-reconstruction as it comes, ``false`` means none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRecipe(Section):
    """The detector, in the words of :func:`srtod.build_detector`.

    Attributes:
        system: the kind of detector.
        backbone: any timm backbone with features of stride 4 to 32.
        pretrained_backbone: ``true`` (ImageNet weights through timm), ``false`` (random), or a file.
        frozen_stages: stages of the backbone, the stem included, that are not trained.
        norm_eval: keep the backbone's BatchNorm statistics as they came.
        self_reconstruction: ``false``, ``true``, or its switches.
        anchor_scale: size of the anchors in strides of their level; several make several anchors a cell.
        resize: bound (longest, shortest) of the image's sides in pixels, its ratio kept; none: as it is.
        rpn_proposals: proposals an image that the RPN keeps in training and in testing.
        score_threshold: detections below it are dropped.
        nms_iou: class-wise non-maximum suppression.
        detections_per_image: how many are kept at most.
    """

    system: Literal["faster-rcnn", "cascade-rcnn"] = "faster-rcnn"
    backbone: str = "resnet50"
    pretrained_backbone: bool | str = False
    frozen_stages: int = Field(default=1, ge=0)
    norm_eval: bool = True
    self_reconstruction: Annotated[SelfReconstructionConfig | None, BeforeValidator(_switch_or_section)] = None
    anchor_scale: float | tuple[float, ...] = 8
    resize: tuple[Pixels, Pixels] | None = None
    rpn_proposals: tuple[Pixels, Pixels] = (2000, 1000)
    score_threshold: Share = 0.05
    nms_iou: Share = 0.5
    detections_per_image: Pixels = 1500


class DataRecipe(Section):
    """What happens to the training images before the detector sees them.

    Attributes:
        horizontal_flip, vertical_flip: probability of mirroring.
        crop: side of a square piece cut out at random, in pixels; none: the whole image.
        images_without_boxes: train on images in which nothing is marked, too.
    """

    horizontal_flip: Share = 0.5
    vertical_flip: Share = 0.0
    crop: Pixels | None = None
    images_without_boxes: bool = True


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
        weight_decay: on every trained parameter.
        warmup_steps, warmup_factor: the learning rate rises linearly from ``lr * warmup_factor``.
        schedule: ``steps`` (times ``gamma`` after each epoch in ``milestones``) or ``cosine`` (to zero).
        milestones, gamma: of the schedule ``steps``.
        clip_norm: bound of the gradient's norm; none: no bound.
        ema: decay of the moving average of the weights that is evaluated and saved; none: the weights
            themselves.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        seed: of the weights, the order of the images and every other choice made at random.
        workers: processes that read images, beside each training process.
        evaluate_every: epochs between two evaluations on the validation set; 0: never.
        best_by: metric by which the best weights are told.
        log_every: steps between two lines of metrics.jsonl.
        save_every: steps between two saved states, from which training can go on.
    """

    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=2, ge=1)
    accumulation: int = Field(default=1, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.005, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_steps: int = Field(default=500, ge=0)
    warmup_factor: float = Field(default=0.001, gt=0, le=1)
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=2, ge=0)
    evaluate_every: int = Field(default=1, ge=0)
    best_by: Literal["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm", "AR"] = "AP"
    log_every: int = Field(default=10, ge=1)
    save_every: int = Field(default=500, ge=1)

    @model_validator(mode="after")
    def _splits_evenly(self) -> "TrainRecipe":
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size {self.batch_size} cannot be split by accumulation {self.accumulation}")
        return self


class Recipe(Section):
    """Everything that decides what is trained and how; made by :func:`srtod.recipes.load_recipe`."""

    model: ModelRecipe = ModelRecipe()
    data: DataRecipe = DataRecipe()
    train: TrainRecipe = TrainRecipe()

    def detector_options(self) -> dict[str, Any]:
        """Keyword arguments for :func:`srtod.build_detector`, classes apart."""
        options = self.model.model_dump()
        switches = self.model.self_reconstruction
        options["self_reconstruction"] = False if switches is None else switches.model_dump()
        if isinstance(self.model.pretrained_backbone, str):
            options["pretrained_backbone"] = Path(self.model.pretrained_backbone)
        return options
