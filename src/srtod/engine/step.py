"""One optimizer step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from srtod.engine.batches import Batch
from srtod.engine.state import Run, seed_step
from srtod.recipes import TrainRecipe
from srtod.support.errors import SrtodError


class NotFiniteError(SrtodError):
    """A loss or gradient became infinite or not a number; the weights are those before the step."""


def train_step(run: Run, passes: Sequence[Batch], recipe: TrainRecipe, rate: float) -> dict[str, float]:
    """Do one optimizer step and count it.

    Args:
        run: the training run.
        passes: the step's batches, one for each forward and backward pass of this process.
        recipe: precision, clipping and seed.
        rate: the learning rate.

    Returns:
        The losses, averaged over passes and processes, their sum ``loss``, ``lr`` and ``grad_norm``.

    Raises:
        NotFiniteError: a loss or gradient is not finite; says of which images.
    """
    accelerator, optimizer = run.accelerator, run.optimizer
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    seed_step(recipe.seed, run.step, accelerator.process_index)
    losses: list[dict[str, Tensor]] = []
    for images, targets in passes:
        with accelerator.accumulate(run.model):
            parts = run.model(images, targets)
            accelerator.backward(torch.stack(list(parts.values())).sum())
        losses.append({name: part.detach().float() for name, part in parts.items()})
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = accelerator.clip_grad_norm_(trained, recipe.clip_norm or math.inf)
    values = _mean(run, losses) | {"lr": rate, "grad_norm": float(norm)}
    if not _finite(values, scaled=accelerator.scaler is not None):
        optimizer.zero_grad()
        raise _not_finite(run, values, passes, losses)
    optimizer.step()
    optimizer.zero_grad()
    if run.average is not None and not accelerator.optimizer_step_was_skipped:
        run.average.update_parameters(run.detector)
    run.step += 1
    return values


def _mean(run: Run, losses: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Average each loss over the passes and processes."""
    names = list(losses[0])
    mean = torch.stack([torch.stack([parts[name] for name in names]) for parts in losses]).mean(0)
    numbers = run.accelerator.reduce(mean, reduction="mean").tolist()
    return {"loss": sum(numbers), **dict(zip(names, numbers, strict=True))}


def _finite(values: Mapping[str, float], *, scaled: bool) -> bool:
    """Tell whether to do the step; where losses are scaled, the scaler skips it if gradients overflow."""
    return math.isfinite(values["loss"]) and (scaled or math.isfinite(values["grad_norm"]))


def _not_finite(
    run: Run, values: Mapping[str, float], passes: Sequence[Batch], losses: Sequence[Mapping[str, Tensor]]
) -> NotFiniteError:
    """Say which number is not finite and which images made it; all processes take part."""
    bad = [name for name, value in values.items() if name.startswith("loss_") and not math.isfinite(value)]
    bad = bad or ["grad_norm"]
    guilty = [not torch.stack(list(parts.values())).isfinite().all() for parts in losses]
    images: list[Any] = gather_object(
        [
            target["image_id"]
            for (_, targets), is_guilty in zip(passes, guilty, strict=True)
            for target in targets
            if is_guilty or bad == ["grad_norm"]
        ]
    )
    what = ", ".join(f"{name} {values[name]}" for name in bad)
    return NotFiniteError(
        f"step {run.step + 1}: {what} in the batch of images {', '.join(map(str, images))}; the state before "
        "it is saved; look at these images and their boxes, or start again with a lower train.lr or with "
        "train.clip_norm"
    )
