"""What every system has in common: its options, in one typed, strict schema."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    field_serializer,
    field_validator,
    model_validator,
)
from torch import nn

from srtod.defaults import DETECTIONS_PER_IMAGE, Stretch
from srtod.heads.base import Head
from srtod.pyramids.base import Pyramid
from srtod.selfrec import SelfReconstructionConfig
from srtod.support.errors import CONTROLS, did_you_mean, shown
from srtod.support.validation import validated

T = TypeVar("T")
_OPEN = "weights say nothing about it"

Open = Annotated[T, _OPEN]
"""An option that a detector's weights say nothing about, so that one with given weights may have another."""

_LONGEST_NAME = 500
_MOST_NAMED = 8

Positive = Annotated[int, Field(gt=0)]
ImageSide = Annotated[int, Field(gt=0, le=8192)]
Factor = Annotated[float, Field(gt=0, le=4)]
Share = Annotated[float, Field(ge=0, le=1)]
Lengths = tuple[Annotated[float, Field(gt=0)], ...]


class Parts(NamedTuple):
    """What a system consists of; self-reconstruction goes between the two."""

    pyramid: Pyramid
    head: Head


def _self_reconstruction(value: Any) -> Any:
    if isinstance(value, bool):
        return SelfReconstructionConfig.harmless() if value else None
    if isinstance(value, str):
        raise ValueError("give True, or a dict of its switches, such as {'head': 'lite'}")
    return value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


class OperatingPoint(BaseModel):
    """The scores from which on detections count, as ``srtod evaluate --calibrate`` chose them.

    Attributes:
        rule: what they were chosen for: ``best-f1``, ``recall=R`` or ``false-alarms=N``.
        thresholds: the score of each class, in label order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rule: str
    thresholds: tuple[Share, ...]

    def in_words(self, classes: Sequence[str]) -> str:
        """The score of each class, or of very many the smallest and the largest."""
        if len(classes) > _MOST_NAMED:
            return f"{min(self.thresholds):.3g} to {max(self.thresholds):.3g} by class"
        return ", ".join(
            f"{shown(name)} {least:.3g}" for name, least in zip(classes, self.thresholds, strict=True)
        )


class DetectorConfig(BaseModel):
    """The options of every system; each system adds its own in a subclass, and builds its parts from them.

    Attributes:
        system: its name.
        classes: names in label order; a detector needs some, a recipe has none.
        self_reconstruction: the switches, None without it; False means None, and True
            :meth:`~srtod.selfrec.SelfReconstructionConfig.harmless`.
        backbone: a timm model with features at strides 4 to 32, or a module of one's own that gives them (see
            :class:`~srtod.pyramids.backbone.Backbone`); a detector with such cannot be saved.
        pretrained_backbone: True for timm's ImageNet weights, or a file of them; None means False.
        frozen_stages: backbone stages that are not trained; default 1 if pretrained, else 0.
        norm_eval: BatchNorm keeps its stored statistics in training; default True if pretrained.
        anchor_scale: sides of square anchors in units of the level's stride; None is 2 for all systems whose
            anchors have scales, and 2, 4 and 8 for TridentNet with its one level. RetinaNet's three octave
            scales start from it. In a recipe ``auto``: a training chooses it from its boxes.
        anchor_ratios: height / width; None is the system's own: 1 for ATSS, DyHead and Cascade RPN, else
            0.5, 1 and 2.
        resize: (longest, shortest) bound of the image's sides, at most 8192 pixels, ratio kept; or a factor
            of both sides, at most 4, for pieces of an image as for the whole; None keeps the image as it is.
        stretch: which values of more than 8 bits become 0 and 255, see :data:`srtod.defaults.Stretch`.
        score_threshold, nms_iou, detections_per_image: which detections are given out.
        soft_nms: the sigma, such as 0.5, of Gaussian soft suppression (Bodla et al., ICCV 2017) in place of
            ``nms_iou``, which is not read then: detections that overlap better ones of their class stay, with
            lower scores. Such a detector cannot be exported, nor fused (several views, ensembles).
        operating_point: which of them count where objects are to be found, and not detections measured; None
            where nobody has calibrated the weights. A ``score_threshold`` given to :func:`srtod.load` takes
            its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    system: str
    classes: tuple[str, ...] = ()
    self_reconstruction: Annotated[SelfReconstructionConfig | None, BeforeValidator(_self_reconstruction)] = (
        None
    )
    backbone: str | InstanceOf[nn.Module] = "resnet50"
    pretrained_backbone: bool | str = False
    frozen_stages: Open[int] = Field(default=0, ge=0, le=4)
    norm_eval: Open[bool] = False
    anchor_scale: Annotated[Lengths | Literal["auto"] | None, BeforeValidator(_as_tuple)] = None
    anchor_ratios: Lengths | None = None
    resize: Open[tuple[ImageSide, ImageSide] | Factor | None] = None
    stretch: Open[Stretch] = "auto"
    score_threshold: Open[Share] = 0.05
    nms_iou: Open[Share] = 0.5
    soft_nms: Open[Annotated[float, Field(gt=0)] | None] = None
    detections_per_image: Open[Positive] = DETECTIONS_PER_IMAGE
    operating_point: Open[OperatingPoint | None] = None

    @abstractmethod
    def parts(self) -> Parts:
        """Build the parts of the system, with random weights but for the backbone."""

    def for_classes(self, classes: Sequence[str]) -> Self:
        """The same options for a detector of these classes.

        Raises:
            InputError: a name is empty or stands twice.
        """
        return self.changed({"classes": tuple(classes)}, where="classes")

    def changed(self, changes: Mapping[str, Any], *, where: str) -> Self:
        """The same with some other values.

        Raises:
            InputError: an unknown option, or a value out of range; the message starts with ``where``.
        """
        return validated(type(self), self.model_dump() | dict(changes), where=where)

    @classmethod
    def open_options(cls) -> tuple[str, ...]:
        """Names of the options that given weights leave open."""
        return tuple(name for name, field in cls.model_fields.items() if _OPEN in field.metadata)

    @field_serializer("backbone", when_used="json")
    def _backbone_name(self, backbone: str | nn.Module) -> str:
        return backbone if isinstance(backbone, str) else type(backbone).__name__

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if not all(name.strip() for name in classes):
            raise ValueError("a name must not be empty")
        if len(set(classes)) < len(classes):
            raise ValueError("names must be distinct")
        if bad := next(
            (name for name in classes if len(name) > _LONGEST_NAME or CONTROLS.search(name)), None
        ):
            raise ValueError(
                f"'{shown(bad[:50])}' is no name: control characters, or more than {_LONGEST_NAME} letters"
            )
        return classes

    @field_validator("anchor_scale", "anchor_ratios")
    @classmethod
    def _some(cls, values: T) -> T:
        if values == ():
            raise ValueError("give at least one")
        return values

    @model_validator(mode="after")
    def _a_threshold_each(self) -> Self:
        point, count = self.operating_point, len(self.classes)
        if point and count and len(point.thresholds) != count:
            raise ValueError(f"operating_point: {len(point.thresholds)} thresholds for {count} classes")
        return self

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        for name in values:
            if name not in cls.model_fields:
                raise ValueError(cls._unknown(name))
        values = dict(values)
        if values.get("pretrained_backbone") is None:
            values["pretrained_backbone"] = False
        elif isinstance(values["pretrained_backbone"], Path):
            values["pretrained_backbone"] = str(values["pretrained_backbone"])
        pretrained = bool(values["pretrained_backbone"])
        for name, default in (("frozen_stages", int(pretrained)), ("norm_eval", pretrained)):
            if values.get(name) is None:
                values[name] = default
        return values

    @classmethod
    def _unknown(cls, name: str) -> str:
        near = did_you_mean(name, cls.model_fields)
        own = ", ".join(own for own in cls.model_fields if own not in DetectorConfig.model_fields)
        system = cls.model_fields["system"].default
        return f"{system} has no option {name!r}{near}; beside what all systems read, it reads {own}"


class FPNConfig(DetectorConfig):
    """The options of a system on a feature pyramid.

    Attributes:
        pyramid_channels: of each level.
    """

    pyramid_channels: Positive = 256
