"""Optimizer, learning rate and averaged weights: pure functions of the recipe and the step."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from srtod.recipes import TrainRecipe

_DECAYED_FROM = {"sgd": 1, "adamw": 2}
"""Dimensions from which on a parameter decays: of SGD all but the threshold, as MMDetection's schedules have
it; of AdamW matrices and kernels alone, as timm's param_groups_weight_decay has it."""


def build_optimizer(model: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
    """Build the optimizer over every parameter that is trained; frozen ones are left out.

    Each group carries the factor of its learning rate as ``lr_factor``. On a GPU the optimizer is fused: that
    one can be told there to skip a step.
    """
    groups = _groups(model, recipe)
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = any(parameter.is_cuda for parameter in parameters)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)
    optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=fused)
    for parameter in parameters:  # which a fused first step leaves as the memory was if it is skipped
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def restore_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Take over the state of an optimizer of the same groups, on whatever device and layout it was built.

    How it computes stays its own, and so does the order of numbers in memory, which fused kernels want to be
    that of the parameters.
    """
    own = [{name: group[name] for name in ("fused", "foreach")} for group in optimizer.param_groups]
    groups = [saved | how for saved, how in zip(state["param_groups"], own, strict=False)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                held[name] = torch.empty_like(parameter).copy_(value)


def _groups(model: nn.Module, recipe: TrainRecipe) -> list[dict[str, Any]]:
    """Parameters that share the factor of their learning rate and their weight decay, in a fixed order."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((f for ending, f in recipe.lr_factors.items() if name.endswith(ending)), 1.0)
            decay = recipe.weight_decay if parameter.ndim >= _DECAYED_FROM[recipe.optimizer] else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def learning_rate(recipe: TrainRecipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of the optimizer step number ``step``, counted from 0.

    The warm-up reaches 1 at step ``warmup_steps - 1`` and multiplies the schedule, as MMEngine's
    LinearLR and MultiStepLR do together. It takes no more than a tenth of the training.
    """
    rate = recipe.lr
    warmup = min(recipe.warmup_steps, recipe.epochs * steps_per_epoch // 10)
    if step < warmup - 1:
        done = step / (warmup - 1)
        rate *= recipe.warmup_factor + (1 - recipe.warmup_factor) * done
    if recipe.schedule == "steps":
        return rate * recipe.gamma ** sum(step >= epoch * steps_per_epoch for epoch in recipe.milestones)
    return rate * (1 + math.cos(math.pi * step / (recipe.epochs * steps_per_epoch))) / 2


class Average:
    """The moving average of a detector's trained weights.

    The decay grows as ``(1 + n) / (10 + n)`` with the number n of steps up to ``decay``, so that the first
    random weights are soon forgotten. Only trained weights are averaged and kept twice; what is frozen, and
    buffers, are the detector's.

    Args:
        detector: what is trained.
        decay: the largest.
    """

    def __init__(self, detector: nn.Module, decay: float) -> None:
        self.trained, self._decay = detector, decay
        self._module = copy.deepcopy(detector).requires_grad_(False)
        copies: dict[str, Tensor] = dict(self._module.named_parameters())
        trained: dict[str, Tensor] = {n: own for n, own in detector.named_parameters() if own.requires_grad}
        self._averages = {name: copies[name] for name in trained}
        self._currents = list(trained.values())
        self._frozen = [(copies[n], own) for n, own in detector.named_parameters() if n not in trained]

    @property
    @torch.no_grad()
    def detector(self) -> nn.Module:
        """The averaged detector; what is not averaged is as in the trained one at this moment."""
        buffers = zip(self._module.buffers(), self.trained.buffers(), strict=True)
        for own, current in (*self._frozen, *buffers):
            own.copy_(current)
        return self._module

    @torch.no_grad()
    def update(self, step: int, done: Tensor | None = None) -> None:
        """Take the weights after optimizer step ``step``, counted from 0, into the average.

        Args:
            step: its number.
            done: 1 or 0 on the device: whether the step was done; None: it was.
        """
        averages, currents = list(self._averages.values()), self._currents
        share = 1 - min(self._decay, (1 + step) / (10 + step)) if step else 1.0
        if done is None:
            torch._foreach_lerp_(averages, currents, share)
        else:
            changes = torch._foreach_sub(currents, averages)
            torch._foreach_mul_(changes, done * share)
            torch._foreach_add_(averages, changes)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights by name."""
        return dict(self._averages)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take averaged weights over."""
        for name, own in self._averages.items():
            own.copy_(state[name])
