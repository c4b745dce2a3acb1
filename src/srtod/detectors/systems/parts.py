"""Parts that several systems share, built from a configuration."""

from collections.abc import Sequence
from typing import Literal

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.base import Assigner
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.boxes.suppression import DetectionLimits
from srtod.detectors.config import DetectorConfig, RFLAConfig
from srtod.detectors.detector import Detector
from srtod.detectors.preprocess import Preprocess
from srtod.heads.atss import ATSSPredictor, giou_and_centerness_loss
from srtod.heads.base import Head
from srtod.heads.box_head import BoxStage, CascadeBoxHead, Predictor
from srtod.heads.dense import DenseHead
from srtod.heads.roi_pooling import RoIPooling
from srtod.heads.rpn import ProposalLimits, RegionProposalNetwork
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.base import Pyramid
from srtod.pyramids.fpn import FeaturePyramid
from srtod.selfrec import SelfReconstruction
from srtod.support.errors import InputError

DEFAULT_ANCHOR_SCALE = (2.0,)
DEFAULT_ANCHOR_RATIOS = (0.5, 1.0, 2.0)


def assemble(config: DetectorConfig, pyramid: Pyramid, head: Head) -> Detector:
    """The detector, with self-reconstruction on the pyramid's lowest levels where it is asked for.

    Raises:
        InputError: the switches of self-reconstruction do not suit the pyramid.
    """
    return Detector(
        preprocess=Preprocess(resize=config.resize),
        pyramid=pyramid,
        self_reconstruction=_self_reconstruction(config, pyramid),
        head=head,
        config=config,
    )


def _self_reconstruction(config: DetectorConfig, pyramid: Pyramid) -> SelfReconstruction | None:
    if config.self_reconstruction is None:
        return None
    try:
        return SelfReconstruction(
            channels=pyramid.channels, strides=pyramid.strides, config=config.self_reconstruction
        )
    except ValueError as error:
        raise InputError(f"self_reconstruction: {error}; change its switches or pyramid_channels") from error


def backbone(config: DetectorConfig) -> Backbone:
    """The timm backbone that the configuration names."""
    return Backbone(
        config.backbone,
        pretrained=config.pretrained_backbone,
        frozen_stages=config.frozen_stages,
        norm_eval=config.norm_eval,
    )


def feature_pyramid(
    config: DetectorConfig, *, lowest: int = 4, coarser: Literal["subsample", "c5", "p5"] = "subsample"
) -> FeaturePyramid:
    """FPN on the backbone (see :class:`~srtod.pyramids.fpn.FeaturePyramid`)."""
    return FeaturePyramid(backbone(config), channels=config.pyramid_channels, lowest=lowest, coarser=coarser)


def scaled_anchors(
    config: DetectorConfig,
    pyramid: Pyramid,
    *,
    scales: Sequence[float] = DEFAULT_ANCHOR_SCALE,
    ratios: Sequence[float] = DEFAULT_ANCHOR_RATIOS,
    octave_scales: Sequence[float] = (1.0,),
) -> AnchorGenerator:
    """Anchors in units of the level's stride; each scale of the configuration times each octave scale."""
    return AnchorGenerator(
        strides=pyramid.strides,
        scales=[scale * octave for scale in config.anchor_scale or scales for octave in octave_scales],
        ratios=config.anchor_ratios or ratios,
    )


def receptive_field_anchors(
    config: DetectorConfig, pyramid: Pyramid, switches: RFLAConfig
) -> AnchorGenerator:
    """Anchors whose size is a share of the level's receptive field (RFLA, Xu et al., ECCV 2022).

    Raises:
        InputError: there is no field for each level, or an ``anchor_scale``.
    """
    if config.anchor_scale is not None:
        raise InputError(
            f"{config.system}: anchor_scale is not for receptive-field anchors, which have no scales; "
            "rfla.fraction and rfla.fields set their size; leave it out (--set model.anchor_scale=null)"
        )
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
    config: DetectorConfig, anchors: AnchorGenerator, *, nms_iou: float = 0.7
) -> tuple[ProposalLimits, ProposalLimits]:
    """How many proposals go on in training and in test."""
    training, test = (
        ProposalLimits(candidates=most, kept=kept, nms_iou=nms_iou)
        for most, kept in zip(config.proposal_candidates(anchors.per_cell), config.proposals, strict=True)
    )
    return training, test


def rpn(
    config: DetectorConfig,
    pyramid: Pyramid,
    *,
    beta: float,
    border: float | None,
    anchors: AnchorGenerator | None = None,
) -> RegionProposalNetwork:
    """A region proposal network; the anchors are the configuration's unless others are given."""
    anchors = anchors or proposal_anchors(config, pyramid)
    training, test = proposal_limits(config, anchors)
    return RegionProposalNetwork(
        channels=pyramid.channels,
        anchors=anchors,
        assigner=proposal_assigner(config.rfla),
        sampler=RandomSampler(config.rpn_samples, positive_share=0.5),
        training_limits=training,
        test_limits=test,
        beta=beta,
        border=border,
        target_shrink=config.rfla.shrink if config.rfla and config.rfla.shrunk_targets else None,
    )


def proposal_anchors(config: DetectorConfig, pyramid: Pyramid) -> AnchorGenerator:
    """Anchors of the size of receptive fields with RFLA, else in units of the stride."""
    if config.rfla is not None:
        return receptive_field_anchors(config, pyramid, config.rfla)
    return scaled_anchors(config, pyramid)


def proposal_assigner(switches: RFLAConfig | None) -> Assigner:
    """Hierarchical assignment with RFLA, else max IoU as in Faster R-CNN."""
    if switches is None:
        return MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True)
    first, second = switches.positives
    return HierarchicalAssigner(
        first_round=first,
        second_round=second,
        shrink=switches.shrink,
        later_object_wins=switches.later_object_wins,
    )


def box_stage(
    config: DetectorConfig,
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


def box_head(config: DetectorConfig, pyramid: Pyramid, stages: Sequence[BoxStage]) -> CascadeBoxHead:
    """A chain of stages on the four lowest levels."""
    return CascadeBoxHead(
        pooling=RoIPooling(strides=pyramid.strides[:4]), stages=stages, limits=detection_limits(config)
    )


def cascade_box_head(config: DetectorConfig, pyramid: Pyramid) -> CascadeBoxHead:
    """The three stages of Cascade R-CNN (Cai & Vasconcelos, 2018), set as in MMDetection 3."""
    return box_head(
        config,
        pyramid,
        [
            box_stage(
                config,
                pyramid,
                iou=iou,
                stds=stds,
                beta=1.0,
                class_agnostic=True,
                class_weight=weight,
                box_weight=weight,
            )
            for iou, stds, weight in (
                (0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
                (0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
                (0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
            )
        ],
    )


def atss_head(config: DetectorConfig, pyramid: Pyramid, *, depth: int = 4) -> DenseHead:
    """The head of ATSS (Zhang et al., CVPR 2020) with ``depth`` convolutions in each of its stacks."""
    anchors = scaled_anchors(config, pyramid, ratios=(1.0,))
    return DenseHead(
        predictor=ATSSPredictor(
            channels=pyramid.channels,
            levels=len(pyramid.strides),
            depth=depth,
            per_cell=anchors.per_cell,
            num_classes=len(config.classes),
        ),
        anchors=anchors,
        assigner=ATSSAssigner(),
        coder=DeltaCoder((0.1, 0.1, 0.2, 0.2)),
        box_loss=giou_and_centerness_loss,
        candidates=config.candidates(anchors.per_cell),
        limits=detection_limits(config),
    )


def detection_limits(config: DetectorConfig) -> DetectionLimits:
    """Which detections are given out."""
    return DetectionLimits(
        score_threshold=config.score_threshold,
        nms_iou=config.nms_iou,
        per_image=config.detections_per_image,
    )
