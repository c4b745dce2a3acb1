"""Files of weights that carry everything needed to rebuild their detector and can execute nothing."""

import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from srtod.assets import SHIPPED_WEIGHTS
from srtod.detectors.config import DetectorConfig
from srtod.detectors.systems import options_of, without_others
from srtod.nn.finite import check_finite
from srtod.support import hub
from srtod.support.claims import scratch_path
from srtod.support.errors import InputError, first_line
from srtod.support.files import atomic_file, require_content
from srtod.support.validation import validated

METADATA_KEY = "srtod"
"""Where a file of ours keeps its :func:`description`."""

_KINDS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
_COUNTS = "num_batches_tracked"  # of BatchNorm, the only whole numbers in weights


def weights_file(source: str | Path) -> Path:
    """The file that :func:`srtod.load` reads; of a repository of the hub it is fetched.

    Args:
        source: as :func:`srtod.load` takes it. The path of a file stays as it is, whether or not there is
            such a file.

    Raises:
        InputError: no such repository, or several weights.
    """
    if isinstance(source, str) and source in SHIPPED_WEIGHTS:
        return SHIPPED_WEIGHTS[source]
    path = Path(source)
    if isinstance(source, str) and "," in source and not path.exists():
        raise InputError(f"{source}: several weights: an ensemble, for predict, evaluate and serve; give one")
    if path.is_dir():  # one that Detector.save_pretrained wrote, or a run of train
        known = (path / name for name in (hub.WEIGHTS, "best.safetensors", "last.safetensors"))
        return next((file for file in known if file.is_file()), path / hub.WEIGHTS)
    is_name = isinstance(source, str) and source.count("/") == 1 and path.suffix != ".safetensors"
    if not is_name or path.parent.is_dir():
        return path
    try:
        return hub.newest(source, hub.WEIGHTS)
    except Exception as error:
        raise InputError(
            f"{source}: no such file, and the Hugging Face hub gives no model.safetensors of it "
            f"({first_line(error)}); give the path of a .safetensors file, or a repository owner/name"
        ) from error


def write_weights(
    path: Path, state: Mapping[str, Tensor], config: DetectorConfig, *, half: bool = False
) -> None:
    """Write a state dict with its configuration and this version as metadata.

    Raises:
        InputError: the place cannot be written to; the backbone is a module, which a file cannot rebuild; or,
            with ``half``, a number is too large for float16.
    """
    if not isinstance(config.backbone, str):
        raise InputError(
            f"{path}: not saved: a file cannot rebuild the backbone {type(config.backbone).__name__}, which "
            "was given as a module; keep detector.state_dict(), and build the detector again to load it"
        )
    metadata = {METADATA_KEY: description(config.model_dump(mode="json"))}
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    if half:
        tensors = {key: _halved(tensor) for key, tensor in tensors.items()}
        check_finite(tensors, f"{path} in half precision")
    _write(path, tensors, metadata)


def own_weights(source: str | Path) -> Path:
    """The file of weights that ``source`` names, if it is the user's to change.

    Raises:
        InputError: it is shipped with the package, in a repository of the hub, missing or exported.
    """
    path = weights_file(source)
    if path.suffix != ".safetensors" or path in SHIPPED_WEIGHTS.values() or not Path(source).exists():
        raise InputError(
            f"{source}: only a .safetensors file of yours can be changed; save a copy in Python: "
            f"srtod.load({str(source)!r}).save('mine.safetensors'); exported files are written anew from it"
        )
    return path


def calibrate_weights(path: Path, rule: str, scores: Mapping[str, float]) -> tuple[str, ...]:
    """Write an operating point into a file of weights, whole or not at all; all else stays as it is.

    Args:
        path: the file.
        rule: what the scores were chosen for.
        scores: of each class by name; the others keep those that they have, or without any all counts that
            the detector gives out.

    Returns:
        The others.

    Raises:
        InputError: as :func:`read_weights`; a score is not in 0..1, or the file cannot be replaced.
    """
    with _opened(path) as file:
        config = _described_in(file, path)
        held = config.operating_point
        former = (config.score_threshold,) * len(config.classes) if held is None else held.thresholds
        own = {**dict(zip(config.classes, former, strict=True)), **scores}
        point = {"rule": rule, "thresholds": tuple(own[name] for name in config.classes)}
        config = config.changed({"operating_point": point}, where=str(path))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() | {METADATA_KEY: description(config.model_dump(mode="json"))}
    _write(path, tensors, metadata)
    return tuple(name for name in config.classes if name not in scores)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with atomic_file(path) as scratch, _folder_beside(scratch) as folder:
        try:
            save_file(tensors, made := folder / path.name, metadata)
            made.replace(scratch)
        except SafetensorError as error:
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise


@contextmanager
def _folder_beside(scratch: Path) -> Generator[Path]:
    """For what ``save_file`` writes before it gives it its name, which a kill would leave there."""
    (folder := scratch_path(scratch)).mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_weights(
    path: Path, fit: Callable[[Mapping[str, Tensor], DetectorConfig], object]
) -> tuple[dict[str, Tensor], DetectorConfig]:
    """Read a state dict and its configuration.

    Args:
        path: the file.
        fit: called on the meta device, where nothing is allocated, with the state dict and the configuration;
            raises where they do not go together.

    Raises:
        InputError: the file is missing, damaged, holds numbers that are not finite or of another kind than
            weights are, or was not written by :meth:`Detector.save`.
    """
    with _opened(path) as file:
        config = _described_in(file, path)
        with torch.device("meta"):
            fit({key: _outline(file.get_slice(key), key, path) for key in file.keys()}, config)  # noqa: SIM118
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    check_finite(state, str(path))
    return state, config


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    require_content(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        with path.open("rb") as stream:
            pickled = stream.read(4).startswith((b"PK\3\4", b"\x80"))  # torch.save, now and earlier
        if pickled:  # asked last: the length of a sound file's header may begin like one
            raise InputError(
                f"{path}: a checkpoint of PyTorch, and weights are .safetensors files; MMDetection's are "
                "loaded in Python with srtod.load_mmdet(detector, file) and saved with detector.save"
            ) from error
        raise InputError(f"{path}: not a readable safetensors file: {error}") from error


def _described_in(file: Any, path: Path) -> DetectorConfig:
    metadata = file.metadata() or {}
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{path}: holds weights but no srtod configuration; load MMDetection's with srtod.load_mmdet"
        )
    return described(metadata[METADATA_KEY], where=path)


def _outline(held: Any, key: str, path: Path) -> Tensor:
    """A tensor of a file without its numbers, for the meta device."""
    kind = held.get_dtype()
    dtype = torch.int64 if kind == "I64" and key.endswith(_COUNTS) else _KINDS.get(kind)
    if dtype is None:
        raise InputError(f"{path}: {key!r} holds numbers of the kind {kind}; weights are {', '.join(_KINDS)}")
    return torch.empty(held.get_shape(), dtype=dtype)


def description(config: Mapping[str, Any]) -> str:
    """A detector's ``config`` and this version as JSON, which files of all kinds carry."""
    return json.dumps({"version": version("srtod"), "config": {**config, "pretrained_backbone": False}})


def described(text: str, *, where: Path) -> DetectorConfig:
    """Read what :func:`description` wrote into the file ``where``.

    Raises:
        InputError: it is damaged, or of a version with other options.
    """
    try:
        held = json.loads(text)
        config = held["config"] | {"pretrained_backbone": False}
        system = config["system"]
        release = tuple(map(int, re.findall(r"^(\d+)\.(\d+)", held["version"])[0]))
        if not isinstance(system, str):
            raise TypeError(system)
    except (IndexError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: its srtod configuration is damaged") from error
    if release < (0, 4):
        config = without_others(config, system)
    return validated(options_of(system), config, where=str(where))


def _halved(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor
