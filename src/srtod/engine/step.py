"""Optimizer steps, and what they report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn

from srtod.data.loading import Batch
from srtod.engine.processes import end_together
from srtod.engine.state import Run, seed_step
from srtod.recipes import TrainRecipe
from srtod.support.errors import InputError, SrtodError


class NotFiniteError(SrtodError):
    """A loss or gradient became infinite or not a number; the weights are those before the step."""


@dataclass(frozen=True)
class _Done:
    """A step nobody has looked at yet: losses ``[passes, names]`` and gradient norm lie on the device."""

    rate: float
    losses: Tensor
    norm: Tensor
    image_ids: list[list[Any]]


class Steps:
    """Does optimizer steps and counts them.

    On a CPU each step is looked at before its update. On a GPU that would mean to wait for it: losses stay
    there until :meth:`read`, and a loss or gradient that is not finite makes the optimizer skip this step and
    all that follow, until it is read and told. (With fp16 each step is looked at, as its scaler does, too.)

    Args:
        run: the training run.
        recipe: precision, clipping and seed, and how often losses are read.
        defer: leave losses on the device; None: on a GPU.
    """

    def __init__(self, run: Run, recipe: TrainRecipe, *, defer: bool | None = None) -> None:
        self._run, self._recipe = run, recipe
        on_gpu = run.accelerator.device.type != "cpu"
        self._defer = (on_gpu if defer is None else defer) and run.accelerator.scaler is None
        self._unread: list[_Done] = []
        self._names: list[str] = []
        self._sound = torch.ones((), device=run.accelerator.device)
        trained = [own for group in run.optimizer.param_groups for own in group["params"]]
        apart = set(run.detector.parameters_apart)
        self._together = [own for own in trained if own not in apart]
        self._apart = [own for own in trained if own in apart]

    def step(self, batches: Sequence[Batch], rate: float) -> None:
        """Do one step.

        Args:
            batches: one for each forward and backward pass of this process.
            rate: the learning rate.
        """
        run, recipe, accelerator = self._run, self._recipe, self._run.accelerator
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["lr_factor"]
        seed_step(recipe.seed, run.step, accelerator.process_index)
        losses = torch.stack([self._learn(batch) for batch in batches])
        norm = self._clip(recipe.clip_norm or math.inf)
        ids = [[target["image_id"] for target in batch.targets] for batch in batches]
        self._unread.append(_Done(rate, losses, norm.detach(), ids))
        self._update(losses, norm)
        run.step += 1

    def due(self, steps_per_epoch: int) -> bool:
        """Tell whether to :meth:`read` now: a line is logged or a state saved, or nothing is deferred."""
        every = (self._recipe.log_every, self._recipe.save_every, steps_per_epoch)
        return not self._defer or any(self._run.step % number == 0 for number in every)

    def read(self, *, stop: bool, error: SrtodError | None) -> tuple[dict[str, float], bool]:
        """Look at the steps since the last time; one exchange between all processes.

        Args:
            stop: this process was asked to stop.
            error: this process could not read its images.

        Returns:
            Of the last step the losses, averaged over passes and processes, their sum ``loss``, ``lr`` and
            ``grad_norm``; and whether any process was asked to stop.

        Raises:
            NotFiniteError: a loss or gradient was not finite; says in which step, of which images. The run is
                as it was before that step.
            SrtodError: a process could not read its images.
        """
        done, self._unread = self._unread, []
        rows = torch.stack([torch.cat([one.losses.mean(0), one.norm.float()[None]]) for one in done])
        flags = rows.new_tensor([stop, error is not None])
        numbers = self._run.accelerator.reduce(torch.cat([rows.flatten(), flags]), reduction="mean").tolist()
        if numbers[-1]:
            end_together(self._run.accelerator, error)
        width = rows.shape[1]
        values = [self._values(one, numbers[row * width : (row + 1) * width]) for row, one in enumerate(done)]
        for row, one in enumerate(values):
            if not self._is_finite(one):
                self._run.step -= len(done) - row
                raise self._not_finite(one, done[row])
        return values[-1], numbers[-2] > 0

    def _learn(self, batch: Batch) -> Tensor:
        """Do a forward and a backward pass; returns the losses in the order of their names."""
        accelerator = self._run.accelerator
        try:
            with accelerator.accumulate(self._run.model):
                parts = self._run.model(batch)
                accelerator.backward(torch.stack(list(parts.values())).sum())
        except RuntimeError as error:
            if not (self._recipe.deterministic and "deterministic" in str(error)):
                raise
            why = str(error).partition(". ")[0]
            raise InputError(f"train.deterministic: {why}; leave it out, or take another system") from error
        self._names = list(parts)
        return torch.stack([part.detach().float() for part in parts.values()])

    def _clip(self, bound: float) -> Tensor:
        """Bound the gradient's norm, that of parts that learn apart by itself; returns the norm of all."""
        norm = self._run.accelerator.clip_grad_norm_(self._together, bound)
        others = nn.utils.clip_grad_norm_(self._apart, bound)
        return torch.hypot(torch.as_tensor(norm), others)

    def _update(self, losses: Tensor, norm: Tensor) -> None:
        """Move the weights, unless a loss or gradient of any process is or was not finite."""
        run, accelerator = self._run, self._run.accelerator
        finite = losses.isfinite().all()
        if accelerator.scaler is None:  # which skips steps whose gradients overflow
            finite = finite & norm.isfinite()
        least = accelerator.reduce(finite.float(), reduction="mean") == 1
        self._sound = self._sound * least
        scaler = accelerator.scaler
        scale = None if scaler is None else scaler.get_scale()
        if self._defer:
            run.optimizer.optimizer.found_inf = 1 - self._sound  # which fused optimizers read on the device
            run.optimizer.step()
        elif self._sound:
            run.optimizer.step()
        skipped = scaler is not None and scaler.get_scale() < scale  # as fused optimizers do unseen
        if run.average is not None and (self._defer or (self._sound and not skipped)):
            run.average.update(run.step, done=self._sound if self._defer else None)
        run.optimizer.zero_grad()

    def _values(self, done: _Done, numbers: Sequence[float]) -> dict[str, float]:
        *losses, norm = numbers
        named = dict(zip(self._names, losses, strict=True))
        return {"loss": sum(losses), **named, "lr": done.rate, "grad_norm": norm}

    def _is_finite(self, values: dict[str, float]) -> bool:
        scaled = self._run.accelerator.scaler is not None
        return math.isfinite(values["loss"]) and (scaled or math.isfinite(values["grad_norm"]))

    def _not_finite(self, values: dict[str, float], done: _Done) -> NotFiniteError:
        """Say which number is not finite and which images made it; all processes take part."""
        bad = [
            name for name, value in values.items() if name.startswith("loss_") and not math.isfinite(value)
        ]
        bad = bad or ["grad_norm"]
        guilty = (~done.losses.isfinite().all(dim=1)).tolist()
        images: list[Any] = gather_object(
            [
                image_id
                for ids, is_guilty in zip(done.image_ids, guilty, strict=True)
                for image_id in ids
                if is_guilty or bad == ["grad_norm"]
            ]
        )
        what = ", ".join(f"{name} {values[name]}" for name in bad)
        return NotFiniteError(
            f"step {self._run.step + 1}: {what} in the batch of images {', '.join(map(str, images))}; a "
            "state before it is saved; look at these images and their boxes, or start again with a lower "
            "train.lr or with train.clip_norm"
        )
