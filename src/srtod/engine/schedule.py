"""Optimizer, learning rate and averaged weights: pure functions of the recipe and the step."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from srtod.recipes import TrainRecipe


def build_optimizer(model: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
    """Build the optimizer over every parameter that is trained; frozen ones are left out.

    Each group carries the factor of its learning rate as ``lr_factor``.
    """
    parameters = _groups(model, recipe.lr_factors)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(
        parameters, lr=recipe.lr, betas=(recipe.momentum, 0.999), weight_decay=recipe.weight_decay
    )


def _groups(model: nn.Module, factors: Mapping[str, float]) -> list[dict[str, Any]]:
    trained = {name: own for name, own in model.named_parameters() if own.requires_grad}
    groups = []
    for ending, factor in factors.items():
        names = [name for name in trained if name.endswith(ending)]
        groups.append({"params": [trained.pop(name) for name in names], "lr_factor": factor})
    groups.append({"params": list(trained.values()), "lr_factor": 1.0})
    return [group for group in groups if group["params"]]


def learning_rate(recipe: TrainRecipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the optimizer step number ``step``, counted from 0.

    The warm-up reaches 1 at step ``warmup_steps - 1`` and multiplies the schedule, as MMEngine's
    LinearLR and MultiStepLR do together.
    """
    rate = recipe.lr
    if step < recipe.warmup_steps - 1:
        done = step / (recipe.warmup_steps - 1)
        rate *= recipe.warmup_factor + (1 - recipe.warmup_factor) * done
    if recipe.schedule == "steps":
        return rate * recipe.gamma ** sum(step >= epoch * steps_per_epoch for epoch in recipe.milestones)
    return rate * (1 + math.cos(math.pi * step / (recipe.epochs * steps_per_epoch))) / 2


def build_average(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """Build the moving average of the weights; none without a decay.

    The decay grows as ``(1 + n) / (10 + n)`` with the number n of updates up to ``decay``, so that the first
    random weights are soon forgotten. Buffers are copied, not averaged.
    """
    if decay is None:
        return None
    return AveragedModel(model, multi_avg_fn=_moving_average(decay))


def _moving_average(decay: float) -> Callable[..., None]:
    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(averages, currents, 1 - min(decay, (1 + n) / (10 + n)))

    return update
