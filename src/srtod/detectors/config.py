"""Everything that rebuilds a detector, in one typed, strict schema."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from srtod.defaults import DETECTIONS_PER_IMAGE
from srtod.selfrec import SelfReconstructionConfig

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Lengths = tuple[Annotated[float, Field(gt=0)], ...]


def _self_reconstruction(value: Any) -> Any:
    if isinstance(value, bool):
        return SelfReconstructionConfig() if value else None
    if isinstance(value, str):
        raise ValueError("give True, or a dict of its switches, such as {'head': 'lite'}")
    return value


def _rfla(value: Any) -> Any:
    if value is False:
        raise ValueError("give True, or a dict of its switches; leave it out to do without")
    return RFLAConfig() if value is True else value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


class RFLAConfig(BaseModel):
    """Receptive-field anchors and hierarchical assignment in the proposals (RFLA, Xu et al., ECCV 2022).

    Attributes:
        fields: theoretical receptive field of each level in pixels. The default is that of ResNet-50-FPN,
            P2 to P6, with any backbone: others see further in theory, some everything, but what counts is
            the size of object that a level is to find.
        fraction: side of a square anchor as a share of the field, an estimate of the effective one.
        positives: anchors that an object takes in full size, and shrunk.
        shrink: factor on the sides of the anchors in between.
        later_object_wins: of several objects that take one anchor the last gets it, as in the authors' code;
            else the one that it fits best.
        shrunk_targets: box deltas are learned from the shrunk anchors but decoded with the full ones, as in
            the authors' code, where shrinking writes into the anchors; else both use the full ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fields: Lengths = (35, 91, 267, 427, 555)
    fraction: Annotated[float, Field(gt=0)] = 0.5
    positives: tuple[Positive, Positive] = (3, 1)
    shrink: Annotated[float, Field(gt=0, le=1)] = 0.9
    later_object_wins: bool = False
    shrunk_targets: bool = False


CHANGEABLE = (
    "resize",
    "score_threshold",
    "nms_iou",
    "detections_per_image",
    "rpn_proposals",
    "rpn_candidates",
    "level_candidates",
    "rpn_samples",
    "box_samples",
    "frozen_stages",
    "norm_eval",
)
"""Options that a detector's weights say nothing about, so that one with given weights may have others."""

_LEAST = 1000
"""Proposals, and candidates of each level, that published settings keep in test."""


class DetectorConfig(BaseModel):
    """What a detector is made of.

    Attributes:
        system: name in the zoo.
        classes: names in label order.
        self_reconstruction: the switches, None without it; True and False mean the defaults and None.
        backbone: a timm model with features at strides 4 to 32.
        pretrained_backbone: True for timm's ImageNet weights, or a file of them; None means False.
        frozen_stages: backbone stages that are not trained; default 1 if pretrained, else 0.
        norm_eval: BatchNorm keeps its stored statistics in training; default True if pretrained.
        anchor_scale: sides of square anchors in units of the level's stride; None is 2 for all systems whose
            anchors have scales, and 2, 4 and 8 for TridentNet with its one level. RetinaNet's three octave
            scales start from it.
        anchor_ratios: height / width; None is the system's own: 1 for ATSS, DyHead and Cascade RPN, else
            0.5, 1 and 2.
        rfla: the switches of receptive-field anchors and hierarchical assignment in place of scaled anchors
            and max IoU; True means the defaults, which the system ``rfla`` has anyway. For Faster R-CNN,
            Cascade R-CNN and DetectoRS; ``anchor_scale`` cannot be given with it.
        resize: (longest, shortest) bound of the image's sides, ratio kept; None keeps the image as it is.
        score_threshold, nms_iou, detections_per_image: which detections are given out.
        rpn_proposals: proposals an image in (training, test); default 2000, and as many as
            ``detections_per_image``, at least 1000.
        rpn_candidates: best scores of each level that enter the proposals' NMS in (training, test); default
            as many as ``rpn_proposals`` where these are given, else 2000, and in test as for
            ``level_candidates``.
        switchable_atrous: DetectoRS' 3x3 convolutions switch between two dilations; without, it is what the
            authors of SR-TOD call DetectoRS.
        level_candidates: best scores of each level that enter the NMS of a one-stage system; default
            ``detections_per_image`` times the anchors of a cell, at least 1000, so that as many objects can
            be found on one level, each by all anchors of a cell.
        coarser_offsets: how DyHead fits a level's offsets to the coarser level that they sample too:
            ``pooled`` is the mean of the cells that a coarser cell covers; ``first_values`` the first values
            in memory, a mistake of the reference that weights trained with it need.
        rpn_samples, box_samples: boxes an image that the losses see; None keeps every candidate.
        pyramid_channels: of each level.
        box_channels: of the fully connected layers behind the pooled features.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    system: str
    classes: tuple[str, ...]
    self_reconstruction: Annotated[SelfReconstructionConfig | None, BeforeValidator(_self_reconstruction)] = (
        None
    )
    backbone: str = "resnet50"
    pretrained_backbone: bool | str = False
    frozen_stages: int = Field(default=0, ge=0, le=4)
    norm_eval: bool = False
    anchor_scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...] | None, BeforeValidator(_as_tuple)] = (
        None
    )
    anchor_ratios: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    rfla: Annotated[RFLAConfig | None, BeforeValidator(_rfla)] = None
    resize: tuple[Positive, Positive] | None = None
    score_threshold: Share = 0.05
    nms_iou: Share = 0.5
    detections_per_image: Positive = DETECTIONS_PER_IMAGE
    rpn_proposals: tuple[Positive, Positive] | None = None
    rpn_candidates: tuple[Positive, Positive] | None = None
    switchable_atrous: bool = True
    level_candidates: Positive | None = None
    coarser_offsets: Literal["pooled", "first_values"] = "pooled"
    rpn_samples: Positive | None = 256
    box_samples: Positive | None = 512
    pyramid_channels: Positive = 256
    box_channels: Positive = 1024

    @property
    def proposals(self) -> tuple[int, int]:
        """Proposals an image in (training, test)."""
        return self.rpn_proposals or (2000, max(_LEAST, self.detections_per_image))

    def candidates(self, per_cell: int) -> int:
        """Best scores of each level that enter an NMS in test, with ``per_cell`` anchors on a cell."""
        return self.level_candidates or self._enough(per_cell)

    def proposal_candidates(self, per_cell: int) -> tuple[int, int]:
        """Best scores of each level that enter the proposals' NMS in (training, test)."""
        return self.rpn_candidates or self.rpn_proposals or (2000, self._enough(per_cell))

    def _enough(self, per_cell: int) -> int:
        return max(_LEAST, per_cell * self.detections_per_image)

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not classes:
            raise ValueError("give at least one name")
        if not all(name.strip() for name in classes):
            raise ValueError("a name must not be empty")
        if len(set(classes)) < len(classes):
            raise ValueError("names must be distinct")
        return classes

    @field_validator("anchor_scale", "anchor_ratios")
    @classmethod
    def _some(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values == ():
            raise ValueError("give at least one")
        return values

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if values.get("pretrained_backbone") is None:
            values["pretrained_backbone"] = False
        pretrained = bool(values["pretrained_backbone"])
        if values.get("frozen_stages") is None:
            values["frozen_stages"] = int(pretrained)
        if values.get("norm_eval") is None:
            values["norm_eval"] = pretrained
        return values
