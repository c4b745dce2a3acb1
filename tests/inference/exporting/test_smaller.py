"""Programs in fewer bits find nearly the same, keep what tiny objects need, and may not lose too much."""

import json

import onnx
import pytest
import torch
from PIL import Image

from srtod.detectors.preprocess import Preprocess
from srtod.inference.exporting import Smaller, open_exported
from srtod.inference.exporting.formats import export_weights
from srtod.inference.exporting.smaller import (
    layers_in_fewer_bits,
    require_little_loss,
    those_for_int8,
    write_smaller,
)
from srtod.support.errors import InputError


@pytest.fixture
def data(photographs, tmp_path):
    """A data set of two photographs, each with one object."""
    folder = tmp_path / "DATA"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number, photograph in enumerate(photographs, start=1):
        pixels = (photograph * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        size = {"width": pixels.shape[1], "height": pixels.shape[0]}
        images.append({"id": number, "file_name": f"{number}.png", **size})
        box = {"bbox": [20, 30, 10, 12], "area": 120, "iscrowd": 0, "category_id": 1}
        annotations.append({"id": number, "image_id": number, **box})
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "val.json").write_text(json.dumps(truth))
    return folder


def smaller_file(small_file, path, smaller):
    before = open_exported(small_file)
    write_smaller(small_file, path, smaller, before, Preprocess(resize=before.config["resize"]))
    return before, open_exported(path)


def test_kept_are_the_first_layer_the_reconstruction_and_what_gives_scores_and_offsets(small_file):
    model = onnx.load(small_file)
    chosen, weights = set(layers_in_fewer_bits(model)), {own.name for own in model.graph.initializer}
    layers = {
        node.name: next(name for name in node.input if name in weights)
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
    }
    kept = {layers[name].removeprefix("detector.") for name in layers.keys() - chosen}
    assert {name for name in kept if name.startswith("pyramid")} == {"pyramid.backbone.body.conv1.0.weight"}
    assert {name.split(".")[-2] for name in kept if name.startswith("head")} == {
        "objectness",
        "deltas",
        "classes",
    }
    assert any(name.startswith("self_reconstruction") for name in kept)
    assert {"detector.head.rpn.conv.weight", "detector.pyramid.fpn.layer_blocks.0.0.weight"} <= {
        layers[name] for name in chosen
    }


def test_a_backbone_of_separable_convolutions_stays_out_of_int8(small_file):
    model = onnx.load(small_file)
    layers = layers_in_fewer_bits(model)
    assert those_for_int8(model, layers) == layers
    inside = next(n for n in model.graph.node if "backbone.body.layer1.0.conv1.weight" in "".join(n.input))
    (group,) = [own for own in inside.attribute if own.name == "group"]
    group.i = 4
    kept = set(layers) - set(those_for_int8(model, layers))
    of_backbone = {n.name for n in model.graph.node if any("pyramid.backbone" in name for name in n.input)}
    assert kept == of_backbone & set(layers) != set()


def test_float16_has_half_the_bits_where_it_may_and_gives_the_same_scores(small_file, photographs, tmp_path):
    before, after = smaller_file(small_file, tmp_path / "a.onnx", Smaller("fp16"))
    kinds = {own.name: own.data_type for own in onnx.load(tmp_path / "a.onnx").graph.initializer}
    assert kinds["detector.pyramid.fpn.layer_blocks.0.0.weight"] == onnx.TensorProto.FLOAT16
    assert kinds["detector.head.rpn.deltas.weight"] == onnx.TensorProto.FLOAT
    with torch.inference_mode():
        for found, expected in zip(after(photographs), before(photographs), strict=True):
            assert found["boxes"].dtype == found["scores"].dtype == torch.float32
            torch.testing.assert_close(found["scores"][:50], expected["scores"][:50], atol=0.02, rtol=0)


def test_int8_quantises_the_layers_and_keeps_the_description(small_file, photographs, data, tmp_path):
    before, after = smaller_file(small_file, tmp_path / "a.onnx", Smaller("int8", data))
    assert after.config == before.config
    model = onnx.load(tmp_path / "a.onnx")
    given = {name: node for node in model.graph.node for name in node.output}
    chosen = layers_in_fewer_bits(onnx.load(small_file))
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            made_of = [given[name].op_type for name in node.input[:2] if name in given]
            assert (made_of == ["DequantizeLinear"] * 2) == (node.name.removesuffix("_quant") in chosen)
    with torch.inference_mode():
        for found, expected in zip(after(photographs), before(photographs), strict=True):
            assert len(found["boxes"]) > 0.5 * len(expected["boxes"]) > 10


class Finds:
    """Finds the object that is marked, with this shift."""

    classes, device = ("person",), torch.device("cpu")

    def __init__(self, shift):
        self.shift = shift

    def __call__(self, images):
        box = torch.tensor([[20.0, 30, 30, 42]]) + self.shift
        return [{"boxes": box, "scores": torch.ones(1), "labels": torch.zeros(1, dtype=torch.int64)}] * len(
            images
        )


def test_a_program_that_loses_more_than_it_may_is_refused(data):
    told = []
    smaller = Smaller("fp16", measured_on=data, most_loss=20)
    require_little_loss(Finds(0), Finds(0), smaller, told.append)
    with pytest.raises(InputError, match=r"fp16 loses 80\.00 points .*DATA, more than --most-loss 20"):
        require_little_loss(Finds(0), Finds(1.5), smaller, told.append)
    assert [round(own["fp16"].summary["AP"], 2) for own in told] == [1, 0.2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precision": "int8"}, "needs --calibration-data"),
        ({"precision": "fp16", "calibration_data": "DATA"}, "is about --precision int8"),
        ({"measured_on": "DATA"}, "--measure is about --precision"),
        ({"precision": "fp16", "most_loss": 1.0}, "--most-loss needs --measure"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        Smaller(**given)


def test_other_formats_are_not_written_in_fewer_bits(tmp_path):
    with pytest.raises(InputError, match="only ONNX is written in fewer bits"):
        export_weights("W", tmp_path / "a.xml", format="openvino", smaller=Smaller("fp16"))
    assert not list(tmp_path.iterdir())
