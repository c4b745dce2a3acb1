"""Exported ONNX programs in fewer bits: float16, or INT8 by the ranges of images; and what that costs."""

import logging
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srtod.data.depth import stretch_of
from srtod.data.images import read_image
from srtod.defaults import ExportPrecision
from srtod.detectors.preprocess import Preprocess
from srtod.engine.evaluate import evaluate
from srtod.engine.sets import Source, evaluation_set, training_sets
from srtod.inference.exporting.onnx_file import extra
from srtod.inference.exporting.trace import INPUTS
from srtod.inference.inputs import to_tensor
from srtod.metrics import Metrics
from srtod.support.errors import InputError
from srtod.types import Finder

CALIBRATION_IMAGES = 64
"""The most, evenly spaced, whose ranges of values INT8 is scaled by."""

_PYRAMID, _HEAD = "detector.pyramid.", "detector.head."
_BACKBONE = f"{_PYRAMID}backbone."
_LAYERS = ("Conv", "Gemm")
_BETWEEN = ("Add", "Clip", "MaxPool", "Relu")
"""What a backbone does between its layers; in float16 it stays there."""
_SCOPES = "pkg.torch.onnx.name_scopes"

Measured = Mapping[str, Metrics]
"""What programs find, by their precision."""


@dataclass(frozen=True)
class Smaller:
    """How an exported program is made smaller, and what that may cost.

    Attributes:
        precision: of the layers of pyramid and head; ``fp32`` leaves all as it is.
        calibration_data: INT8 is scaled by the values that images of its training split make.
        measured_on: a data set on whose held-out split AP is measured before and after.
        most_loss: so many points of AP (of 100) may be lost there.

    Raises:
        InputError: options that do not go together.
    """

    precision: ExportPrecision = "fp32"
    calibration_data: Path | None = None
    measured_on: Path | None = None
    most_loss: float | None = None

    def __post_init__(self) -> None:
        if self.precision == "int8" and self.calibration_data is None:
            raise InputError("--precision int8 needs --calibration-data: images like those to be looked at")
        if self.precision != "int8" and self.calibration_data is not None:
            raise InputError("--calibration-data is about --precision int8; leave it out")
        if self.precision == "fp32" and self.measured_on is not None:
            raise InputError(
                "--measure is about --precision fp16 and int8; leave it out, or run srtod evaluate"
            )
        if self.most_loss is not None and self.measured_on is None:
            raise InputError("--most-loss needs --measure: data on which the loss is measured")


AS_IT_IS = Smaller()


def write_smaller(plain: Path, path: Path, smaller: Smaller, finder: Finder, preprocess: Preprocess) -> None:
    """Write the ONNX program ``plain`` in fewer bits to ``path``.

    Args:
        plain: of 32 bits.
        path: the file to write.
        smaller: how.
        finder: what ``plain`` finds with, which says how images are stretched.
        preprocess: brings images to the size that it sees.
    """
    onnx = extra("onnx")
    model = onnx.load(plain)
    layers = layers_in_fewer_bits(model)
    if smaller.precision == "fp16":
        made = _in_float16(model, layers)
    else:
        assert smaller.calibration_data is not None
        source = Source(smaller.calibration_data, stretch=stretch_of(finder))
        _quantise(plain, path, those_for_int8(model, layers), _Samples(source, preprocess))
        made = onnx.load(path)
        del made.metadata_props[:]
        made.metadata_props.extend(model.metadata_props)
    onnx.save(made, path)


def require_little_loss(
    before: Finder, after: Finder, smaller: Smaller, tell: Callable[[Measured], None]
) -> None:
    """Measure both programs and tell; refuse if the smaller one finds too little.

    Raises:
        InputError: it loses more AP than may be lost, or the data cannot be read.
    """
    assert smaller.measured_on is not None
    annotated = evaluation_set(Source(smaller.measured_on, stretch=stretch_of(before)))
    found = {"fp32": evaluate(before, annotated), smaller.precision: evaluate(after, annotated)}
    tell(found)
    loss = 100 * (found["fp32"].summary["AP"] - found[smaller.precision].summary["AP"])
    if smaller.most_loss is not None and loss > smaller.most_loss:
        raise InputError(
            f"export: not written: {smaller.precision} loses {loss:.2f} points of AP on "
            f"{smaller.measured_on}, more than --most-loss {smaller.most_loss:g}; take fp16, or other images "
            "to calibrate with"
        )


def layers_in_fewer_bits(model: Any) -> list[str]:
    """Name the layers of an ONNX model that bear fewer bits: of the pyramid, and inside of the head.

    Kept are the first one, which sees objects of a few pixels at full resolution; the self-reconstruction,
    whose difference of two images is small; and those that give scores and offsets, which nothing activates.
    """
    parameters = {own.name for own in model.graph.initializer}
    followers: dict[str, set[str]] = defaultdict(set)
    for node in model.graph.node:
        for name in node.input:
            followers[name].add(node.op_type)
    layers = [
        (node, weight)
        for node in model.graph.node
        if node.op_type in _LAYERS
        for weight in [name for name in node.input if name in parameters][:1]
    ]
    return [
        node.name
        for node, weight in layers[1:]
        if weight.startswith(_PYRAMID) or (weight.startswith(_HEAD) and followers[node.output[0]] == {"Relu"})
    ]


def those_for_int8(model: Any, layers: list[str]) -> list[str]:
    """Leave out a backbone of separable convolutions, whose channels differ too much in range for 8 bits.

    Source: Sheng et al., A Quantization-Friendly Separable Convolution for MobileNets, EMC2 2018.
    """
    nodes = model.graph.node
    separable = {node.name for node in nodes for own in node.attribute if own.name == "group" and own.i > 1}
    backbone = {node.name for node in nodes if any(name.startswith(_BACKBONE) for name in node.input)}
    return [name for name in layers if name not in backbone] if backbone & separable else layers


def _in_float16(model: Any, layers: list[str]) -> Any:
    small = set(layers)
    for node in model.graph.node:
        scopes = next((own.value for own in node.metadata_props if own.key == _SCOPES), "")
        if node.op_type in _BETWEEN and f"'{_PYRAMID}" in scopes:
            small.add(node.name)
    kept = [node.name for node in model.graph.node if node.name not in small]
    convert = extra("onnxruntime.transformers.float16").convert_float_to_float16
    return convert(model, keep_io_types=True, op_block_list=[], node_block_list=kept)


def _quantise(plain: Path, path: Path, layers: list[str], samples: "_Samples") -> None:
    tool = extra("onnxruntime.quantization")
    with _quiet():
        tool.quantize_static(
            plain,
            path,
            samples,
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI add products of 8 bits in 16 and would clip the sums
            activation_type=tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
            nodes_to_quantize=layers,
        )


class _Samples:
    """Images as the program takes them, one at a time, in the way that ONNX Runtime asks for them."""

    def __init__(self, source: Source, preprocess: Preprocess) -> None:
        records = training_sets(source, decode=False, quiet=True)[0].records
        self._paths = [own.path for own in records[:: -(-len(records) // CALIBRATION_IMAGES)]]
        self._inputs = self._read(source, preprocess)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the inputs for the next image; None after the last."""
        return next(self._inputs, None)

    def _read(self, source: Source, preprocess: Preprocess) -> Iterator[dict[str, NDArray[Any]]]:
        for path in self._paths:
            image = to_tensor(read_image(path, stretch=source.stretch), preprocess.mean.device)
            batch = preprocess([image])
            values = (batch.raw.numpy(), np.array(batch.sizes, np.int64))
            yield dict(zip(INPUTS, values, strict=True))


@contextmanager
def _quiet() -> Generator[None]:
    """Without the hints of ONNX Runtime's quantisation, which are about its own steps."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
