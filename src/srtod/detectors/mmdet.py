"""Checkpoints of MMDetection 3.x and of the official SR-TOD code."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srtod.detectors.detector import Detector
from srtod.nn.finite import check_finite
from srtod.support.errors import InputError

_STAGE = r"roi_head\.bbox_head\."
_RULES: tuple[tuple[str, str], ...] = (
    (r"backbone\.", "pyramid.backbone.body."),
    (r"neck\.rfp_modules\.0\.", "pyramid.second_backbone.body."),
    (r"(pyramid\.second_backbone\..*)rfp_conv\.", r"\1act3.feedback."),
    (r"neck\.rfp_aspp\.aspp\.", "pyramid.aspp.branches."),
    (r"neck\.rfp_weight\.", "pyramid.gate."),
    (r"neck\.0\.", "neck."),
    (r"neck\.1\.dyhead_blocks\.", "pyramid.blocks."),
    (r"(pyramid\.blocks\.\d+\.)spatial_conv_mid\.(?:conv\.)?", r"\1same."),
    (r"(pyramid\.blocks\.\d+\.)spatial_conv_low\.(?:conv\.)?", r"\1finer."),
    (r"(pyramid\.blocks\.\d+\.)spatial_conv_high\.(?:conv\.)?", r"\1coarser."),
    (r"(pyramid\.blocks\.\d+\.)spatial_conv_offset\.", r"\1offsets."),
    (r"(pyramid\.blocks\.\d+\.)scale_attn_module\.1\.", r"\1scale.conv."),
    (r"(pyramid\.blocks\.\d+\.)task_attn_module\.conv1\.conv\.", r"\1task.squeeze."),
    (r"(pyramid\.blocks\.\d+\.)task_attn_module\.conv2\.conv\.", r"\1task.expand."),
    (r"neck\.lateral_convs\.(\d+)\.conv\.", r"pyramid.fpn.inner_blocks.\1.0."),
    (r"neck\.fpn_convs\.(\d+)\.conv\.", r"pyramid.fpn.layer_blocks.\1.0."),
    (r"bbox_head\.cls_convs\.(\d+)\.", r"head.predictor.towers.classes.\1."),
    (r"bbox_head\.reg_convs\.(\d+)\.", r"head.predictor.towers.boxes.\1."),
    (r"(head\.predictor\.towers\..*)conv\.", r"\g<1>0."),
    (r"(head\.predictor\.towers\..*)gn\.", r"\g<1>1."),
    (r"bbox_head\.(?:retina|atss)_cls\.", "head.predictor.classes."),
    (r"bbox_head\.(?:retina|atss)_reg\.", "head.predictor.deltas."),
    (r"bbox_head\.atss_centerness\.", "head.predictor.centerness."),
    (r"bbox_head\.scales\.(\d+)\.scale$", r"head.predictor.scales.\1"),
    (r"rpn_head\.stages\.0\.", "rpn_head.first."),
    (r"rpn_head\.stages\.1\.", "rpn_head.second."),
    (r"rpn_head\.(first\.|second\.|)rpn_conv\.(?:conv\.)?", r"head.rpn.\1conv."),
    (r"rpn_head\.(second\.|)rpn_cls\.", r"head.rpn.\1objectness."),
    (r"rpn_head\.(first\.|second\.|)rpn_reg\.", r"head.rpn.\1deltas."),
    (r"roi_head\.shared_head\.layer4\.", "head.box_head.stages.0.predictor.stage."),
    (_STAGE + r"(?=[a-z])", "head.box_head.stages.0.predictor."),
    (_STAGE + r"(\d+)\.", r"head.box_head.stages.\1.predictor."),
    (r"(.*predictor\.)shared_fcs\.0\.", r"\1fc1."),
    (r"(.*predictor\.)shared_fcs\.1\.", r"\1fc2."),
    (r"(.*predictor\.)fc_cls\.", r"\1classes."),
    (r"(.*predictor\.)fc_reg\.", r"\1deltas."),
    (r"rh\.up(\d)\.up\.", r"self_reconstruction.head.blocks.up\1.up."),
    (r"rh\.up(\d)\.conv\.double_conv\.0\.", r"self_reconstruction.head.blocks.up\1.conv1."),
    (r"rh\.up(\d)\.conv\.double_conv\.2\.", r"self_reconstruction.head.blocks.up\1.conv2."),
    (r"rh\.out_conv\.conv\.0\.", "self_reconstruction.head.output."),
    (r"dgfe\.mlp\.1\.", "self_reconstruction.enhancement.attention.mlp.0."),
    (r"dgfe\.mlp\.3\.", "self_reconstruction.enhancement.attention.mlp.2."),
    (r"learnable_thresh$", "self_reconstruction.filtration.threshold"),
)
"""Their beginning of a key, and ours; applied in this order."""


_SHOWN = 3
"""Keys of each kind that a message names."""

_LATERAL = re.compile(r"pyramid\.fpn\.inner_blocks\.(\d+)\.")
_SMOOTHING = re.compile(r"^pyramid\.fpn\.layer_blocks\.(\d+)\.0\.")


def mmdet_key(key: str) -> str:
    """Our name of one of MMDetection's parameters, coarser levels of a pyramid excepted."""
    for pattern, ours in _RULES:
        key = re.sub(f"^{pattern}", ours, key)
    return re.sub(r"\.blocks\.up(\d)\.", lambda match: f".blocks.{int(match[1]) - 1}.", key)


def mmdet_keys(keys: Iterable[str]) -> dict[str, str]:
    """Our name of each of MMDetection's parameters, given all of a detector's.

    MMDetection numbers the strided convolutions of an FPN's coarser levels on from those of the levels that
    have a lateral one.
    """
    ours = {key: mmdet_key(key) for key in keys}
    laterals = {match[1] for key in ours.values() if (match := _LATERAL.match(key))}
    return {key: _SMOOTHING.sub(partial(_coarser, len(laterals)), own) for key, own in ours.items()}


def _coarser(laterals: int, match: re.Match[str]) -> str:
    extra = int(match[1]) - laterals
    return match[0] if extra < 0 else f"pyramid.fpn.extra_blocks.convs.{extra}."


def load_mmdet(detector: Detector, checkpoint: Mapping[str, Tensor] | str | Path) -> Detector:
    """Load weights of MMDetection 3.x or of the official SR-TOD code into a detector of the same system.

    Args:
        detector: built with the same system, backbone and number of classes.
        checkpoint: a state dict, a dict that holds one as ``state_dict``, or a ``.pth`` file of either, which
            is read without executing anything in it.

    Returns:
        The detector given.

    Raises:
        InputError: the file cannot be read, it holds no state dict, or numbers that are not finite; or keys
            are missing, left over or of another shape, which are counted, the first three of each named.
    """
    where = str(checkpoint) if isinstance(checkpoint, str | Path) else "load_mmdet"
    state = _state_dict(_read(checkpoint) if isinstance(checkpoint, str | Path) else checkpoint, where)
    names = mmdet_keys(state)
    given = {names[key]: value for key, value in state.items()}
    own = detector.state_dict()
    _check_fit(own, given, {own: key for key, own in names.items()}, where)
    check_finite(state, where)
    detector.load_state_dict({key: given[key].reshape(value.shape) for key, value in own.items()})
    return detector


def _check_fit(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], theirs: Mapping[str, str], where: str
) -> None:
    """Refuse weights with other keys or shapes than the detector's; ``theirs`` are MMDetection's names."""
    missing = sorted(own.keys() - given.keys())
    left_over = sorted(given.keys() - own.keys())
    misshapen = sorted(
        key
        for key in own.keys() & given.keys()
        if given[key].numel() != own[key].numel() or given[key].squeeze().shape != own[key].squeeze().shape
    )
    shapes = [f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}" for key in misshapen]
    complaints = [
        f"{len(keys)} {title}: {', '.join(keys[:_SHOWN])}{' ...' if len(keys) > _SHOWN else ''}"
        for title, keys in (
            ("missing", missing),
            ("left over", sorted(theirs[key] for key in left_over)),
            ("of another shape", shapes),
        )
        if keys
    ]
    if complaints:
        verdict = "the checkpoint holds no weights of such a detector; give another"
        if own.keys() & given.keys():
            cause = _cause([*missing, *left_over], misshapen)
            verdict = (
                f"the checkpoint does not fit this detector, probably because of {cause}; build it as the "
                "checkpoint was"
            )
        raise InputError(f"{where}: {verdict}; {'; '.join(complaints)}")


def _cause(names: Sequence[str], misshapen: Sequence[str]) -> str:
    """What differs, by our names of the weights that are missing or left over, and of those misshapen."""
    for keys, pattern, cause in (
        (names, r"(?!pyramid\.backbone\.|self_reconstruction\.)", "another system"),
        ((*names, *misshapen), r"pyramid\.backbone\.", "another backbone"),
        (misshapen, r"pyramid\.|.*\.fc1\.", "other channels"),
        ((*names, *misshapen), r"self_reconstruction\.", "other self-reconstruction, or none"),
        (misshapen, r"head\.(rpn|predictor\.deltas)\.", "other anchors"),
    ):
        if any(re.match(pattern, key) for key in keys):
            return cause
    return "another number of classes"


_LOGS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
)
"""What stands in training checkpoints beside the weights."""


class _Inert:
    """Stands in for the log objects in training checkpoints; takes any state and does nothing with it."""

    def __init__(self, *_: Any) -> None:
        return

    def __setstate__(self, state: Any) -> None:
        return


def _read(path: str | Path) -> object:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _LOGS]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: cannot be read as plain weights; save its state_dict alone") from error


def _state_dict(content: object, where: str) -> Mapping[str, Tensor]:
    """The state dict in what a checkpoint holds: itself, or what stands under ``state_dict``."""
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise InputError(f"{where}: no state dict of names and tensors, nor a dict with one as 'state_dict'")
    return state
