import copy
import math

import pytest
import torch
from torch import nn

from srtod.engine.schedule import Average, build_optimizer, learning_rate, restore_optimizer
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
    assert type(optimizer) is kind
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert set(learned) == set(trained.parameters())


@pytest.mark.parametrize(("name", "decays"), [("sgd", [0.5, 0.5, 0.0]), ("adamw", [0.5, 0.0, 0.0])])
def test_the_threshold_never_decays_and_with_adamw_vectors_do_not_either(tiny_recipe, name, decays):
    filtration = nn.ParameterDict({"threshold": torch.zeros(())})
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "filtration": filtration})
    recipe = tiny_recipe(f"train.optimizer={name}", "train.weight_decay=0.5").train
    of = {
        parameter: group["weight_decay"]
        for group in build_optimizer(model, recipe).param_groups
        for parameter in group["params"]
    }
    assert [of[parameter] for parameter in model.parameters()] == decays


def test_a_factor_gives_its_parameters_their_own_learning_rate(tiny_recipe):
    filtration = nn.ParameterDict({"threshold": torch.zeros(())})
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "filtration": filtration})
    recipe = tiny_recipe("train.lr_factors={filtration.threshold: 0.1}").train
    rest, threshold = build_optimizer(model, recipe).param_groups
    assert threshold["params"] == [filtration["threshold"]]
    assert (threshold["lr_factor"], rest["lr_factor"]) == (0.1, 1.0)
    assert len(rest["params"]) == 2
    assert len(build_optimizer(model["body"], recipe).param_groups) == 1


def averaged(average: Average, step: int, weight: float, done: torch.Tensor | None = None) -> float:
    nn.init.constant_(average.trained.weight, weight)
    average.update(step, done)
    return next(average.detector.parameters()).item()


@pytest.mark.parametrize("done", [None, torch.ones(())])
def test_the_average_forgets_its_start_and_then_follows_the_decay(done):
    average = Average(nn.Linear(1, 1, bias=False), 0.5)
    values = [averaged(average, step, weight, done) for step, weight in enumerate((1.0, 2.0, 4.0))]
    after_two = 1 + (2 - 1) * (1 - 2 / 11)
    after_three = after_two + (4 - after_two) * (1 - 3 / 12)
    assert values == pytest.approx([1.0, after_two, after_three])
    for step in range(3, 23):
        before = averaged(average, step, 4.0, done)
    assert averaged(average, 23, 0.0, done) == pytest.approx(before / 2)


def test_a_step_that_was_not_done_leaves_the_average_as_it_is():
    average = Average(nn.Linear(1, 1, bias=False), 0.5)
    before = averaged(average, 0, 1.0)
    assert averaged(average, 1, 5.0, torch.zeros(())) == before


def test_the_average_keeps_what_is_trained_alone_and_takes_all_else_as_it_is():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2))
    model[0].bias.requires_grad_(False)
    average = Average(model, 0.5)
    assert set(average.state_dict()) == {"0.weight", "1.weight", "1.bias"}
    model[1].running_mean.fill_(3.0)
    model[0].bias.data.fill_(4.0)  # as a state that is restored does
    assert average.detector[1].running_mean.tolist() == [3.0, 3.0]
    assert average.detector[0].bias.tolist() == [4.0, 4.0]


def test_the_warm_up_takes_a_tenth_of_the_training_at_most():
    found = rates("train.epochs=2", "train.milestones=[]", steps=[0, 9, 19, 30], per_epoch=100)
    assert found[0] == pytest.approx(0.005 * 0.001)
    assert found[1] < 0.005
    assert found[2:] == pytest.approx([0.005, 0.005])


def on_gpu(optimizer):
    """Let an optimizer compute as on a GPU, by fused kernels, and skip the next step if told so."""
    for group in optimizer.param_groups:
        group["fused"] = True
    return optimizer


def step(optimizer, parameter, gradient, *, skip=False):
    parameter.grad = torch.full_like(parameter, gradient)
    optimizer.found_inf, optimizer.grad_scale = torch.tensor(float(skip)), None
    optimizer.step()


def test_a_first_step_that_a_fused_optimizer_skips_leaves_no_trace(tiny_recipe):
    layer = nn.Linear(1, 64, bias=False)
    before = layer.weight.detach().clone()
    recipe = tiny_recipe("train.optimizer=sgd", "train.lr=1", "train.weight_decay=0").train
    optimizer = on_gpu(build_optimizer(layer, recipe))
    freed = [torch.full((64,), 1e6) for _ in range(200)]
    del freed
    step(optimizer, layer.weight, math.inf, skip=True)
    step(optimizer, layer.weight, 1.0)
    torch.testing.assert_close(layer.weight.detach(), before - 1)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_state_of_a_cpu_goes_on_as_a_gpu_has_it(tiny_recipe, name):
    recipe = tiny_recipe(f"train.optimizer={name}").train
    before, after = nn.Conv2d(4, 3, 3), nn.Conv2d(4, 3, 3).to(memory_format=torch.channels_last)
    after.load_state_dict(before.state_dict())
    own, other = build_optimizer(before, recipe), on_gpu(build_optimizer(after, recipe))
    before.weight.grad = torch.randn(before.weight.shape)
    own.step()
    after.load_state_dict(before.state_dict())
    restore_optimizer(other, copy.deepcopy(own.state_dict()))
    held = [one for one in other.state[after.weight].values() if one.shape == after.weight.shape]
    assert held and all(one.stride() == after.weight.stride() for one in held)
    step(other, after.weight, math.nan, skip=True)
    assert torch.equal(after.weight, before.weight)
    before.weight.grad = torch.full_like(before.weight, 0.5)
    own.step()
    step(other, after.weight, 0.5)
    torch.testing.assert_close(after.weight, before.weight)
