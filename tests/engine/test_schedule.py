import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from srtod.engine.schedule import build_average, build_optimizer, learning_rate
from srtod.recipes import load_recipe


def rates(*changes, steps, per_epoch):
    train = load_recipe("aitod-faster-rcnn", changes).train
    return [learning_rate(train, step, per_epoch) for step in steps]


def test_the_warm_up_is_that_of_mmengine():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005)
    # MMEngine's LinearLR(start_factor=0.001, begin=0, end=500) interpolates over end - begin - 1 steps.
    reference = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.001, total_iters=499)
    expected = []
    for _ in range(502):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert rates(steps=range(502), per_epoch=1000) == pytest.approx(expected)


def test_steps_fall_after_the_milestone_epochs():
    found = rates("train.warmup_steps=0", steps=[0, 79, 80, 109, 110, 119], per_epoch=10)
    assert found == pytest.approx([0.005, 0.005, 0.0005, 0.0005, 0.00005, 0.00005])


def test_cosine_ends_near_zero():
    start, middle, end = rates(
        "train.schedule=cosine", "train.warmup_steps=0", steps=[0, 60, 119], per_epoch=10
    )
    assert start == pytest.approx(0.005)
    assert middle == pytest.approx(0.0025)
    assert 0 < end < 1e-5


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_frozen_parameters_are_not_optimized(tiny_recipe, name, kind):
    frozen, trained = nn.Linear(2, 2), nn.Linear(2, 2)
    frozen.requires_grad_(False)
    optimizer = build_optimizer(
        nn.Sequential(frozen, trained), tiny_recipe(f"train.optimizer={name}", "train.weight_decay=0.5").train
    )
    (group,) = optimizer.param_groups
    assert type(optimizer) is kind
    assert group["params"] == list(trained.parameters())
    assert group["weight_decay"] == 0.5


def test_a_factor_gives_its_parameters_their_own_learning_rate(tiny_recipe):
    filtration = nn.ParameterDict({"threshold": torch.zeros(())})
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "filtration": filtration})
    recipe = tiny_recipe("train.lr_factors={filtration.threshold: 0.1}").train
    threshold, rest = build_optimizer(model, recipe).param_groups
    assert threshold["params"] == [filtration["threshold"]]
    assert (threshold["lr_factor"], rest["lr_factor"]) == (0.1, 1.0)
    assert len(rest["params"]) == 2
    assert len(build_optimizer(model["body"], recipe).param_groups) == 1


def averaged(average: AveragedModel | None, model: nn.Linear, weight: float) -> float:
    assert average is not None
    nn.init.constant_(model.weight, weight)
    average.update_parameters(model)
    return next(average.module.parameters()).item()


def test_the_average_forgets_its_start_and_then_follows_the_decay():
    model = nn.Linear(1, 1, bias=False)
    average = build_average(model, 0.5)
    values = [averaged(average, model, weight) for weight in (1.0, 2.0, 4.0)]
    after_two = 1 + (2 - 1) * (1 - 2 / 11)
    after_three = after_two + (4 - after_two) * (1 - 3 / 12)
    assert values == pytest.approx([1.0, after_two, after_three])
    for _ in range(20):
        before = averaged(average, model, 4.0)
    assert averaged(average, model, 0.0) == pytest.approx(before / 2)


def test_no_decay_no_average():
    assert build_average(nn.Linear(1, 1), None) is None
