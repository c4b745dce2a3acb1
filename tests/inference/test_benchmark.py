import json
from contextlib import nullcontext

import pytest
import torch
from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.inference.benchmark import (
    Setting,
    cost_table,
    gflops,
    measure,
    peak_of_process,
    report,
    steps,
)
from srtod.nn.deformable import by_operator, deform_conv2d
from srtod.support.errors import InputError

TINY = {"backbone": "test_resnet", "pyramid_channels": 64}
SMALL = TINY | {"rpn_proposals": (50, 50)}


def test_costs_of_the_three_variants_come_from_one_run():
    setting = Setting(96, 64, runs=2, batch=2, options=SMALL)
    words = []
    costs = measure(["faster-rcnn", "cascade-rcnn"], setting, on_step=words.append)
    assert len(words) == steps(["faster-rcnn", "cascade-rcnn"], setting)
    assert [(cost.system, cost.variant) for cost in costs] == [
        (system, variant)
        for system in ("faster-rcnn", "cascade-rcnn")
        for variant in ("base", "paper", "lite")
    ]
    for base, paper, lite in (costs[:3], costs[3:]):
        assert base.ratio == 1
        assert base.flops < lite.flops < paper.flops
        assert base.parameters < lite.parameters < paper.parameters
    assert all(cost.latency > 0 and cost.throughput == 2 / cost.latency for cost in costs)
    told = json.loads(json.dumps(report(costs, setting)))
    assert told["setting"]["options"]["pyramid_channels"] == 64
    assert {"command", "commit", "date", "machine"} <= told.keys()
    assert cost_table(costs, "title").row_count == 6


def test_runs_take_turns_over_all_systems(monkeypatch):
    monkeypatch.setattr("srtod.inference.benchmark.peak_of_process", lambda *_: None)
    words = []
    measure(["faster-rcnn", "retinanet"], Setting(32, 32, runs=2, options=TINY), on_step=words.append)
    first, second = words[-12:-6], words[-6:]
    assert [word.replace("run 1", "run 2") for word in first] == second
    assert [word.split(":")[0] for word in first] == [
        f"{system}, {variant}"
        for system in ("faster-rcnn", "retinanet")
        for variant in ("base", "paper", "lite")
    ]


class DeformableLayer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(5, 3, 3, 3))

    def forward(self, images):
        offsets = torch.zeros(1, 18, *images[0].shape[1:])
        return deform_conv2d(images[0][None], offsets, self.weight, padding=1)


@pytest.mark.parametrize("way", [nullcontext, by_operator])
def test_deformable_convolutions_are_counted(way):
    with way():
        assert gflops(DeformableLayer(), Setting(8, 4)) == pytest.approx(2 * 8 * 4 * 5 * 3 * 9 / 1e9)


def test_memory_is_that_of_weights_and_levels(capfd):
    setting = Setting(1024, 1024, threads=1, options=SMALL)
    measured = (("faster-rcnn", "base"), ("no-such-system", "base"), ("faster-rcnn", "paper"))
    base, unknown, paper = (peak_of_process(*own, setting) for own in measured)
    level = 256 * 256 * 64 * 4 / 2**30
    assert 2 * level < base < paper < 1
    assert unknown is None
    told = capfd.readouterr().err
    assert "no-such-system: memory not measured: unknown system 'no-such-system'" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "big"], "--size big"),
        (["--size", "0x10"], "--size 0x10"),
        (["--device", "tpu"], "device 'tpu': not one of auto, cpu, cuda"),
        (["faster-rcnn", "faster-rcn", "--size", "32x32"], "did you mean 'faster-rcnn'"),
    ],
)
def test_wrong_options_are_told(arguments, message):
    result = CliRunner().invoke(app, ["benchmark", *arguments])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_an_unknown_precision_is_told():
    result = CliRunner().invoke(app, ["benchmark", "--precision", "int4"])
    assert result.exit_code == 2
    assert "'int4' is not one of 'fp32', 'bf16', 'fp16'" in " ".join(result.output.split())


def test_a_device_that_is_not_there_is_told():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    result = CliRunner().invoke(app, ["benchmark", "--device", "cuda"])
    assert isinstance(result.exception, InputError)
    assert "device 'cuda': no GPU is available here; take cpu" in str(result.exception)


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(monkeypatch, tmp_path):
    monkeypatch.setattr("srtod.inference.benchmark.measure", lambda *_, **__: pytest.fail("measured"))
    result = CliRunner().invoke(app, ["benchmark", "atss", "--json", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert "is a folder; name a file" in str(result.exception)


def test_the_spread_of_a_single_run_is_unknown(monkeypatch):
    monkeypatch.setattr("srtod.inference.benchmark.peak_of_process", lambda *_: None)
    setting = Setting(32, 32, runs=1, options=TINY)
    costs = measure(["retinanet"], setting, on_step=lambda _: None)
    assert [cost["spread"] for cost in report(costs, setting)["costs"]] == [None] * 3
    (column,) = (column for column in cost_table(costs, "title").columns if column.header == "±")
    assert list(column.cells) == ["-"] * 3
