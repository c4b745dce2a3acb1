import json

import pytest
from typer.testing import CliRunner

from srtod.cli.main import app
from srtod.errors import InputError
from srtod.inference.benchmark import Cost, Setting, measure, report

SMALL = (("backbone", "mobilenetv2_100"), ("pyramid_channels", 64), ("rpn_proposals", (50, 50)))


def test_costs_of_the_three_variants_come_from_one_run():
    setting = Setting(96, 64, rounds=2, options=SMALL)
    costs = [step for step in measure("faster-rcnn", setting) if isinstance(step, Cost)]
    base, paper, lite = costs
    assert [cost.variant for cost in costs] == ["base", "paper", "lite"]
    assert base.ratio == 1
    assert base.flops < lite.flops < paper.flops
    assert base.parameters < lite.parameters < paper.parameters
    assert all(cost.latency > 0 for cost in costs)
    assert json.loads(json.dumps(report(costs, setting)))["setting"]["options"]["pyramid_channels"] == 64


def test_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        next(measure("faster-rcnn", Setting(32, 32, device="cuda")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "big"], "--size big"),
        (["--size", "0x10"], "--size 0x10"),
        (["--precision", "int4"], "--precision int4: use float32 or bfloat16"),
        (["faster-rcn", "--size", "32x32"], "did you mean 'faster-rcnn'"),
    ],
)
def test_wrong_options_are_told(arguments, message):
    result = CliRunner().invoke(app, ["benchmark", *arguments])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
