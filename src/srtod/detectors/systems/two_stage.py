"""Two-stage systems: their options, and the parts that several of them share."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.detectors.config import DetectorConfig, FPNConfig, Lengths, Open, Positive
from srtod.detectors.systems.parts import (
    DEFAULT_ANCHOR_RATIOS,
    LEAST_KEPT,
    detection_limits,
    enough_candidates,
    scaled_anchors,
)
from srtod.heads.box_head import BoxStage, CascadeBoxHead, Predictor
from srtod.heads.roi_pooling import RoIPooling
from srtod.heads.rpn import ProposalLimits, RegionProposalNetwork
from srtod.pyramids.base import Pyramid
from srtod.support.errors import InputError

RPN_ASSIGNER = MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True)
"""Which anchors are to find an object, as in Faster R-CNN."""


class TwoStageConfig(DetectorConfig):
    """The options of every two-stage system.

    Attributes:
        rpn_proposals: proposals an image in (training, test); default 2000, and as many as
            ``detections_per_image``, at least 1000.
        rpn_candidates: best scores of each level that enter the proposals' NMS in (training, test); default
            as many as ``rpn_proposals`` where these are given, else 2000, and in test
            ``detections_per_image`` times the anchors of a cell, at least 1000, so that as many objects can
            be found on one level, each by all anchors of a cell.
        rpn_samples, box_samples: boxes an image that the losses see; None keeps every candidate.
    """

    rpn_proposals: Open[tuple[Positive, Positive] | None] = None
    rpn_candidates: Open[tuple[Positive, Positive] | None] = None
    rpn_samples: Open[Positive | None] = 256
    box_samples: Open[Positive | None] = 512


class FPNTwoStageConfig(TwoStageConfig, FPNConfig):
    """The options of a two-stage system on a feature pyramid.

    Attributes:
        box_channels: of the fully connected layers behind the pooled features.
    """

    box_channels: Positive = 1024


class RFLASwitches(BaseModel):
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


def rfla_switches(value: Any) -> Any:
    """Read True as the defaults.

    Raises:
        ValueError: it is False.
    """
    if value is False:
        raise ValueError("give True, or a dict of its switches; leave it out to do without")
    return RFLASwitches() if value is True else value


class RCNNConfig(FPNTwoStageConfig):
    """The options of an R-CNN with a region proposal network on P2 to P6.

    Attributes:
        rfla: the switches of receptive-field anchors and hierarchical assignment in place of scaled anchors
            and max IoU; True means the defaults, which the system ``rfla`` has anyway. ``anchor_scale``
            cannot be given with it.
        rpn_nwd: assign anchors by the larger one of IoU and normalised Wasserstein distance (Xu et al., ISPRS
            2022) with this unit in pixels, the mean size of the objects; None for the IoU alone.
    """

    rfla: Annotated[RFLASwitches | None, BeforeValidator(rfla_switches)] = None
    rpn_nwd: Open[Annotated[float, Field(gt=0)] | None] = None

    @model_validator(mode="after")
    def _receptive_fields_assign_by_themselves(self) -> Self:
        names = ("anchor_scale", "rpn_nwd")
        given = [name for name in names if self.rfla is not None and getattr(self, name) is not None]
        if given:
            out = " ".join(f"--set model.{name}=null" for name in given)
            raise ValueError(
                f"{self.system}: {given[0]} is not for receptive-field anchors, which have no scales "
                f"(but rfla.fraction, rfla.fields) and an assignment of their own; leave it out ({out})"
            )
        return self


def receptive_field_anchors(config: RCNNConfig, pyramid: Pyramid, switches: RFLASwitches) -> AnchorGenerator:
    """Anchors whose size is a share of the level's receptive field (RFLA, Xu et al., ECCV 2022).

    Raises:
        InputError: there is no field for each level.
    """
    if len(switches.fields) != len(pyramid.strides):
        raise InputError(
            f"rfla.fields: {len(switches.fields)} receptive fields for {len(pyramid.strides)} levels"
        )
    return AnchorGenerator(
        strides=pyramid.strides,
        units=[field * switches.fraction for field in switches.fields],
        scales=(1.0,),
        ratios=config.anchor_ratios or DEFAULT_ANCHOR_RATIOS,
    )


def proposal_limits(
    config: TwoStageConfig, anchors: AnchorGenerator, *, nms_iou: float = 0.7
) -> tuple[ProposalLimits, ProposalLimits]:
    """How many proposals go on in training and in test."""
    kept = config.rpn_proposals or (2000, max(LEAST_KEPT, config.detections_per_image))
    candidates = (
        config.rpn_candidates or config.rpn_proposals or (2000, enough_candidates(config, anchors.per_cell))
    )
    training, test = (
        ProposalLimits(candidates=most, kept=number, nms_iou=nms_iou)
        for most, number in zip(candidates, kept, strict=True)
    )
    return training, test


def rpn(
    config: TwoStageConfig,
    pyramid: Pyramid,
    anchors: AnchorGenerator,
    *,
    beta: float,
    border: float | None,
    assigner: Assigner = RPN_ASSIGNER,
    target_shrink: float | None = None,
) -> RegionProposalNetwork:
    """A region proposal network on these anchors."""
    return RegionProposalNetwork(
        channels=pyramid.channels,
        anchors=anchors,
        assigner=assigner,
        sampler=RandomSampler(config.rpn_samples, positive_share=0.5),
        limits=proposal_limits(config, anchors),
        beta=beta,
        border=border,
        target_shrink=target_shrink,
    )


def rcnn_proposals(
    config: RCNNConfig, pyramid: Pyramid, *, beta: float, border: float | None
) -> RegionProposalNetwork:
    """A region proposal network; with RFLA its anchors and their assignment are those of that paper."""
    rfla = config.rfla
    if rfla is None:
        anchors, assigner = scaled_anchors(config, pyramid), replace(RPN_ASSIGNER, nwd=config.rpn_nwd)
        return rpn(config, pyramid, anchors, beta=beta, border=border, assigner=assigner)
    first, second = rfla.positives
    return rpn(
        config,
        pyramid,
        receptive_field_anchors(config, pyramid, rfla),
        beta=beta,
        border=border,
        assigner=HierarchicalAssigner(
            first_round=first,
            second_round=second,
            shrink=rfla.shrink,
            later_object_wins=rfla.later_object_wins,
        ),
        target_shrink=rfla.shrink if rfla.shrunk_targets else None,
    )


def box_stage(
    config: FPNTwoStageConfig,
    pyramid: Pyramid,
    *,
    iou: float,
    beta: float,
    class_agnostic: bool,
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
    class_weight: float = 1.0,
    box_weight: float = 1.0,
) -> BoxStage:
    """A stage with two fully connected layers whose boxes are positive from an IoU of ``iou``."""
    return BoxStage(
        predictor=Predictor(
            channels=pyramid.channels,
            pooled_size=7,
            hidden=config.box_channels,
            num_classes=len(config.classes),
            class_agnostic=class_agnostic,
        ),
        coder=DeltaCoder(stds),
        assigner=MaxIoUAssigner(positive_iou=iou, negative_iou=iou),
        sampler=RandomSampler(config.box_samples, positive_share=0.25),
        num_classes=len(config.classes),
        beta=beta,
        class_weight=class_weight,
        box_weight=box_weight,
    )


def box_head(config: TwoStageConfig, pyramid: Pyramid, stages: Sequence[BoxStage]) -> CascadeBoxHead:
    """A chain of stages on the four lowest levels."""
    return CascadeBoxHead(
        pooling=RoIPooling(strides=pyramid.strides[:4]), stages=stages, limits=detection_limits(config)
    )
