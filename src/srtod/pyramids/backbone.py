"""Backbones from timm: features at strides 4, 8, 16 and 32."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import timm
import torch
from safetensors.torch import load_file
from timm.layers.format import Format
from timm.models import FeatureInfo
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from srtod.nn.finite import check_finite
from srtod.nn.modes import batch_norms, evaluating
from srtod.support import hub
from srtod.support.errors import InputError, did_you_mean, first_line

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """A backbone whose normalisation layers and first stages can be held.

    Args:
        source: a timm model with features at strides 4, 8, 16 and 32, such as ``resnet50``; or any module
            that maps normalised images ``[B, 3, H, W]`` to four maps at these strides, finest first.
        pretrained: True for timm's ImageNet weights, or a file of weights in timm's key names.
        frozen_stages: how many stages, the stem counted with the first, are not trained.
        norm_eval: BatchNorm always uses its stored statistics (its scale and shift are still trained).

    Raises:
        InputError: unknown name, no features at these strides, not for images of every size, or weights that
            do not fit.
    """

    def __init__(
        self, source: str | nn.Module, *, pretrained: bool | str | Path, frozen_stages: int, norm_eval: bool
    ) -> None:
        super().__init__()
        self.norm_eval = norm_eval
        self._is_given = isinstance(source, nn.Module)
        if isinstance(source, nn.Module):
            if pretrained or frozen_stages:
                raise InputError(
                    "backbone: a module of one's own comes with its weights, frozen where they are to be; "
                    "leave pretrained_backbone and frozen_stages out"
                )
            self.name, self.body, self.channels = type(source).__name__, source, _probed_channels(source)
        else:
            self.name, self.body = source, _create(source, pretrained=pretrained is True)
            self.channels = tuple(_feature_info(self.body).channels())
        if not isinstance(pretrained, bool):
            _load_weights(self.body, Path(pretrained))
        self._channels_last = getattr(self.body, "output_fmt", None) == Format.NHWC
        self._frozen_stages = frozen_stages
        self._held = self._freeze(frozen_stages)

    def train(self, mode: bool = True) -> "Backbone":
        """Switch to training, BatchNorm excepted where it is held."""
        super().train(mode)
        for name, norm in batch_norms(self.body):
            if self.norm_eval or f"{name}.weight" in self._held:
                norm.eval()
        return self

    @contextmanager
    def rebuilding(self) -> Generator[nn.ModuleDict]:
        """Give the body of a ResNet to be changed in place; what is new in a frozen stage is frozen too.

        Raises:
            InputError: the backbone is no ResNet of timm's basic or bottleneck blocks.
        """
        yield self._resnet()
        self._held = self._freeze(self._frozen_stages)

    def take_last_stage(self) -> "LastStage":
        """Take the stage of stride 32 out, for a head that runs it on each box; features end at stride 16.

        Raises:
            InputError: the backbone is no ResNet of timm's basic or bottleneck blocks.
        """
        blocks = self._resnet().pop("layer4")
        frozen = not any(parameter.requires_grad for parameter in blocks.parameters())
        stage = LastStage(blocks.children(), channels=self.channels[-1], norm_eval=self.norm_eval or frozen)
        self.channels = self.channels[:-1]
        return stage

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map normalised images ``[B, 3, H, W]`` to features at strides 4, 8, 16 and 32."""
        features = self.body(images)
        return [level.permute(0, 3, 1, 2) for level in features] if self._channels_last else features

    def _resnet(self) -> nn.ModuleDict:
        if self._is_given or not _is_resnet(self.body):
            raise InputError(
                f"backbone: {self.name!r} is no ResNet of timm's blocks, such as resnet50 or "
                "resnet18, and this system rebuilds those"
            )
        return self.body

    def _freeze(self, stages: int) -> set[str]:
        """Stop the training of the first stages; return the names of what is held."""
        if stages == 0:
            return set()
        last = _canonical(_feature_info(self.body).module_name()[stages - 1]) + "."
        names = [_canonical(name) for name, _ in self.body.named_parameters()]
        end = max(index for index, name in enumerate(names) if name.startswith(last))
        held = dict(list(self.body.named_parameters())[: end + 1])
        for parameter in held.values():
            parameter.requires_grad_(False)
        return set(held)


class LastStage(nn.Sequential):
    """The last stage of a backbone, which a head runs on the features of each box.

    Args:
        blocks: of the stage.
        channels: of its output.
        norm_eval: BatchNorm always uses its stored statistics.
    """

    def __init__(self, blocks: Iterable[nn.Module], *, channels: int, norm_eval: bool) -> None:
        super().__init__(*blocks)
        self.channels = channels
        self.norm_eval = norm_eval

    def train(self, mode: bool = True) -> "LastStage":
        """Switch to training, BatchNorm excepted where it is held."""
        super().train(mode)
        for _, norm in batch_norms(self) if self.norm_eval else ():
            norm.eval()
        return self


def _is_resnet(body: nn.Module) -> TypeGuard[nn.ModuleDict]:
    return isinstance(body, nn.ModuleDict) and all(
        stage in body and all(isinstance(block, BasicBlock | Bottleneck) for block in body[stage].children())
        for stage in ("layer3", "layer4")
    )


def _create(name: str, *, pretrained: bool) -> nn.Module:
    options = _options(name)
    if not pretrained:
        return timm.create_model(name, features_only=True, **options)
    try:
        source = _weights_source(name)
        return timm.create_model(name, features_only=True, pretrained=True, **source, **options)
    except Exception as error:
        raise InputError(
            f"backbone {name}: its ImageNet weights cannot be fetched ({first_line(error)}); without "
            "internet give a file of them with --set model.pretrained_backbone=FILE, or take random weights "
            "with --set model.pretrained_backbone=false (in Python: pretrained_backbone=...)"
        ) from error


def _weights_source(name: str) -> dict[str, Any]:
    """Tell timm where ImageNet weights are: in the file of an earlier download, else at the hub."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        return {}
    for file in ("model.safetensors", "pytorch_model.bin"):
        cached = hub.downloaded(config.hf_hub_id, file)
        if cached is not None:
            return {"pretrained_cfg_overlay": {"file": str(cached)}}
    hub.reach()
    return {}


@cache
def _options(name: str) -> dict[str, Any]:
    """What timm is told, so that the model gives the features of a pyramid, for images of any size."""
    if not timm.is_model(name):
        raise InputError(f"backbone: timm knows no model {name!r}{did_you_mean(name, timm.list_models())}")
    trial = _without_weights(name)
    reductions = _feature_info(trial).reduction()
    if not set(STRIDES) <= set(reductions):
        raise InputError(
            f"backbone: {name!r} has features at strides {reductions}, a pyramid needs {list(STRIDES)}"
        )
    indices = [len(reductions) - 1 - reductions[::-1].index(stride) for stride in STRIDES]
    return {"out_indices": indices} | _size_options(name, trial)


def _size_options(name: str, trial: nn.Module) -> dict[str, Any]:
    if _takes_any_size(trial):
        return {}
    relaxed = {"strict_img_size": False}  # windows of attention are then cut anew for each size
    try:
        if _takes_any_size(_without_weights(name, **relaxed)):
            return relaxed
    except TypeError:
        pass  # this model has no such option
    raise InputError(
        f"backbone: {name!r} does not take images of every size, as a detector needs; "
        "resnet50, convnext_tiny or swin_tiny_patch4_window7_224 do"
    )


def _without_weights(name: str, **options: Any) -> nn.Module:
    """The model on the meta device, where it costs next to nothing."""
    with torch.device("meta"):
        return timm.create_model(name, features_only=True, **options).eval()


def _takes_any_size(trial: nn.Module) -> bool:
    """Whether a model on the meta device takes an image that is neither square nor of a usual size."""
    try:
        with torch.device("meta"), torch.no_grad():
            trial(torch.empty(1, 3, 96, 160))
    except Exception:  # whatever its layers raise where they do not fit
        return False
    return True


def _probed_channels(body: nn.Module) -> tuple[int, ...]:
    """Channels of each map that a module gives of a blank image."""
    side = 2 * STRIDES[-1]
    with evaluating(body):
        try:
            shapes = [tuple(level.shape) for level in body(torch.zeros(1, 3, side, side))]
        except Exception as error:  # whatever its layers raise
            name = type(body).__name__
            raise InputError(f"backbone: {name} takes no image: {first_line(error)}") from error
    if [shape[2:] for shape in shapes] != [(side // stride, side // stride) for stride in STRIDES]:
        raise InputError(
            f"backbone: {type(body).__name__} maps an image [1, 3, {side}, {side}] to {shapes}; a pyramid "
            f"needs four maps at strides {list(STRIDES)}"
        )
    return tuple(shape[1] for shape in shapes)


def _feature_info(body: nn.Module) -> FeatureInfo:
    info = body.feature_info
    if not isinstance(info, FeatureInfo):
        raise InputError(f"backbone: {type(body).__name__} says nothing of its features")
    return info


def _canonical(key: str) -> str:
    """One spelling of a timm key: feature extractors join the names of nested stages by an underscore."""
    return key.replace("_", ".")


def _load_weights(body: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file of backbone weights")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:
        raise InputError(f"{path}: not a readable file of plain weights") from error
    given = {_canonical(key): value for key, value in state.items()}
    own = body.state_dict()
    missing = [
        key
        for key, value in own.items()
        if getattr(given.get(_canonical(key)), "shape", None) != value.shape
        and not key.endswith("num_batches_tracked")
    ]
    if missing:
        raise InputError(
            f"{path}: does not fit the backbone: {len(missing)} of {len(own)} tensors are missing or of "
            f"another shape, such as {missing[0]!r}"
        )
    check_finite(state, str(path))
    body.load_state_dict({key: given.get(_canonical(key), value) for key, value in own.items()})
