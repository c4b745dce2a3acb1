"""Named systems: each a short function that puts built parts together. Copy one and change it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from srtod.boxes.anchors import AnchorGenerator
from srtod.boxes.assigners import MaxIoUAssigner
from srtod.boxes.coders import DeltaCoder
from srtod.boxes.samplers import RandomSampler
from srtod.detectors.config import DetectorConfig
from srtod.detectors.detector import Detector
from srtod.detectors.preprocess import Preprocess
from srtod.detectors.weights import read_weights
from srtod.errors import InputError, did_you_mean
from srtod.heads.base import Head
from srtod.heads.box_head import BoxStage, CascadeBoxHead, DetectionLimits, Predictor
from srtod.heads.roi_pooling import RoIPooling
from srtod.heads.rpn import ProposalLimits, RegionProposalNetwork
from srtod.heads.two_stage import TwoStageHead
from srtod.pyramids.backbone import Backbone
from srtod.pyramids.base import Pyramid
from srtod.pyramids.fpn import FeaturePyramid
from srtod.schema import validated
from srtod.selfrec import SelfReconstruction, SelfReconstructionConfig


def faster_rcnn(config: DetectorConfig) -> Detector:
    """Faster R-CNN with FPN (Ren et al., 2015; Lin et al., 2017), set as in MMDetection 3."""
    pyramid = _feature_pyramid(config)
    rpn = _rpn(config, pyramid, beta=0.0, border=None)
    stages = [_box_stage(config, pyramid, iou=0.5, beta=0.0, weight=1.0, class_agnostic=False)]
    return _assemble(config, pyramid, TwoStageHead(rpn=rpn, box_head=_box_head(config, pyramid, stages)))


def cascade_rcnn(config: DetectorConfig) -> Detector:
    """Cascade R-CNN with FPN (Cai & Vasconcelos, 2018), set as in MMDetection 3."""
    pyramid = _feature_pyramid(config)
    rpn = _rpn(config, pyramid, beta=1 / 9, border=0)
    stages = [
        _box_stage(config, pyramid, iou=iou, stds=stds, beta=1.0, weight=weight, class_agnostic=True)
        for iou, stds, weight in (
            (0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
            (0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
            (0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
        )
    ]
    return _assemble(config, pyramid, TwoStageHead(rpn=rpn, box_head=_box_head(config, pyramid, stages)))


SYSTEMS: dict[str, Callable[[DetectorConfig], Detector]] = {
    "faster-rcnn": faster_rcnn,
    "cascade-rcnn": cascade_rcnn,
}


def build_detector(
    system: str,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    self_reconstruction: bool | dict[str, Any] | SelfReconstructionConfig | None = False,
    pretrained_backbone: bool | str | Path = False,
    **options: Any,
) -> Detector:
    """Build a detector.

    Args:
        system: a name of :data:`SYSTEMS`.
        num_classes: how many classes, if they have no names.
        classes: their names, in label order.
        self_reconstruction: True for the defaults, or a dict of the switches of
            :class:`~srtod.selfrec.SelfReconstructionConfig`.
        pretrained_backbone: True for ImageNet weights through timm, or a file of them.
        **options: the other attributes of :class:`~srtod.detectors.config.DetectorConfig`, such as
            ``anchor_scale``, ``resize``, ``score_threshold``, ``nms_iou``, ``detections_per_image``,
            ``backbone``.

    Raises:
        InputError: an unknown system or option (the near one is named), or a value out of range.
    """
    values: dict[str, Any] = options | {
        "system": system,
        "classes": _class_names(num_classes, classes),
        "self_reconstruction": self_reconstruction,
        "pretrained_backbone": (
            pretrained_backbone if isinstance(pretrained_backbone, bool) else str(pretrained_backbone)
        ),
    }
    return build(validated(DetectorConfig, values, where="build_detector"))


def build(config: DetectorConfig) -> Detector:
    """Build the detector that a configuration describes."""
    if config.system not in SYSTEMS:
        raise InputError(
            f"unknown system {config.system!r}{did_you_mean(config.system, SYSTEMS)}; "
            f"known: {', '.join(SYSTEMS)}"
        )
    return SYSTEMS[config.system](config)


def load(source: str | Path) -> Detector:
    """Load a detector that :meth:`Detector.save` wrote, in evaluation mode.

    Args:
        source: a file, or a repository ``owner/name`` of the Hugging Face hub with ``model.safetensors``.

    Raises:
        InputError: no such file or repository, or not a file of ours.
    """
    path = _local(source)
    state, config = read_weights(path)
    detector = build(config)
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit its configuration") from error
    return detector.eval()


def _local(source: str | Path) -> Path:
    parts = str(source).split("/")
    is_hub_id = len(parts) == 2 and all(parts) and not Path(source).suffix and not Path(source).exists()
    if not is_hub_id:
        return Path(source)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(source), "model.safetensors"))
    except Exception as error:
        raise InputError(f"{source}: neither a file nor a repository that can be read: {error}") from error


def _class_names(num_classes: int | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise InputError(f"build_detector: classes is a sequence of names, such as ({classes!r},)")
    if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 1):
        raise InputError(f"build_detector: num_classes is a whole number from 1, not {num_classes!r}")
    if classes is None and num_classes is None:
        raise InputError("build_detector: give num_classes or classes")
    if classes is None:
        return tuple(f"class {index}" for index in range(num_classes or 0))
    if num_classes not in (None, len(classes)):
        raise InputError(
            f"build_detector: num_classes is {num_classes}, but there are {len(classes)} classes"
        )
    return tuple(classes)


def _feature_pyramid(config: DetectorConfig) -> FeaturePyramid:
    backbone = Backbone(
        config.backbone,
        pretrained=config.pretrained_backbone,
        frozen_stages=config.frozen_stages,
        norm_eval=config.norm_eval,
    )
    return FeaturePyramid(backbone, channels=config.pyramid_channels)


def _rpn(
    config: DetectorConfig, pyramid: Pyramid, *, beta: float, border: float | None
) -> RegionProposalNetwork:
    candidates = config.rpn_candidates or config.rpn_proposals
    training, test = (
        ProposalLimits(candidates=most, kept=kept)
        for most, kept in zip(candidates, config.rpn_proposals, strict=True)
    )
    return RegionProposalNetwork(
        channels=pyramid.channels,
        anchors=AnchorGenerator(
            strides=pyramid.strides, scales=config.anchor_scale, ratios=config.anchor_ratios
        ),
        assigner=MaxIoUAssigner(positive_iou=0.7, negative_iou=0.3, minimum_iou=0.3, match_low_quality=True),
        sampler=RandomSampler(config.rpn_samples, positive_share=0.5),
        training_limits=training,
        test_limits=test,
        beta=beta,
        border=border,
    )


def _box_stage(
    config: DetectorConfig,
    pyramid: Pyramid,
    *,
    iou: float,
    beta: float,
    weight: float,
    class_agnostic: bool,
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2),
) -> BoxStage:
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
        weight=weight,
    )


def _box_head(config: DetectorConfig, pyramid: Pyramid, stages: Sequence[BoxStage]) -> CascadeBoxHead:
    return CascadeBoxHead(
        pooling=RoIPooling(strides=pyramid.strides[:4]),
        stages=stages,
        limits=DetectionLimits(
            score_threshold=config.score_threshold,
            nms_iou=config.nms_iou,
            per_image=config.detections_per_image,
        ),
    )


def _assemble(config: DetectorConfig, pyramid: Pyramid, head: Head) -> Detector:
    switches = config.self_reconstruction
    return Detector(
        preprocess=Preprocess(resize=config.resize),
        pyramid=pyramid,
        self_reconstruction=None
        if switches is None
        else SelfReconstruction(channels=pyramid.channels, stride=pyramid.strides[0], config=switches),
        head=head,
        config=config,
    )
