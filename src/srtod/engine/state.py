"""What a run consists of, saved so that it goes on as if it had never stopped.

On a CPU it ends with the same weights to the bit; on a GPU, whose kernels add in any order, with
``train.deterministic`` only.
Learning rates, the order of the images and all random numbers are functions of seed, step and process
(:mod:`srtod.engine.schedule`, :mod:`srtod.engine.batches`, :func:`seed_step`), so they need no saving.
"""

import pickle
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from srtod.engine.processes import on_main
from srtod.engine.schedule import Average, restore_optimizer
from srtod.recipes import Recipe, differing_keys, load_recipe, recipe_text
from srtod.support.claims import remove_scratch, scratch_in
from srtod.support.errors import InputError
from srtod.support.files import atomic_file, require_writable, write_text

CONFIG, STATE, LOG, LAST, BEST = (
    "config.yaml",
    "state.pt",
    "metrics.jsonl",
    "last.safetensors",
    "best.safetensors",
)

TENSORBOARD = "tensorboard"
CONTENT = "content"
"""What data are told from others by where the counts agree."""

_MAY_DIFFER = {
    "about.dataset",
    "about.source",
    "data.negatives",
    "train.workers",
    "train.log_every",
    "train.save_every",
}
"""Keys that may change on resume: they touch no weights, or say only where the same images are now."""

_FORMAT = 2
"""Of the saved state; grows when a run of an earlier version cannot be resumed."""


@dataclass
class Run:
    """A training run.

    Attributes:
        accelerator: processes, device and precision.
        detector: the bare detector.
        model: the same, prepared by ``accelerator``.
        optimizer: prepared by ``accelerator``.
        average: the moving average of the detector, if the recipe asks for one.
        output: the folder it lives in.
        data: what tells its data from others.
        step: optimizer steps done.
        saved: steps of them in the last saved state.
        epochs_done: epochs that are trained and evaluated.
        best: best validation score so far.
        best_epoch: epochs after which it was reached; 0: there is none yet.
        scores: the last evaluation.
        log_bytes: length of metrics.jsonl at the last saved state.
        false_alarms: what :func:`~srtod.engine.mining.mine` found last; None: nobody looked yet.
        init: weights that it started from; None: none.
    """

    accelerator: Accelerator
    detector: Any
    model: nn.Module
    optimizer: Any
    average: Average | None
    output: Path
    data: dict[str, Any]
    step: int = 0
    saved: int = 0
    epochs_done: int = 0
    best: float | None = None
    best_epoch: int = 0
    scores: dict[str, float] | None = None
    log_bytes: int = 0
    false_alarms: Tensor | None = None
    init: str | None = None

    @property
    def shown(self) -> Any:
        """The detector that is evaluated and saved: the averaged one where there is an average."""
        return self.detector if self.average is None else self.average.detector

    def has_waited(self, patience: int | None, *, every: int) -> bool:
        """Whether so many evaluations, one in ``every`` epochs, went by since the best score."""
        if patience is None or self.best is None:
            return False
        return self.epochs_done // every - self.best_epoch // every >= patience

    def state(self) -> dict[str, Any]:
        """Return everything that a resumed run needs, as tensors, numbers, lists and dicts."""
        scaler = self.accelerator.scaler
        return {
            "format": _FORMAT,
            "step": self.step,
            "epochs_done": self.epochs_done,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "scores": self.scores,
            "log_bytes": (self.output / LOG).stat().st_size,
            "data": self.data,
            "detector": self.detector.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "false_alarms": self.false_alarms,
            "init": self.init,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take a state over."""
        self.step = self.saved = state["step"]
        self.epochs_done = state["epochs_done"]
        self.best, self.best_epoch = state["best"], state.get("best_epoch", 0)
        self.scores, self.log_bytes = state["scores"], state["log_bytes"]
        self.false_alarms = state.get("false_alarms")
        self.init = state.get("init", self.init)
        self.detector.load_state_dict(state["detector"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        restore_optimizer(self.optimizer, state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def save_state(run: Run) -> None:
    """Write the state of a run, whole or not at all.

    Raises:
        InputError: the place cannot be written to; the former state is intact.
    """

    def write() -> None:
        with atomic_file(run.output / STATE) as scratch, scratch.open("wb") as file:
            try:
                torch.save(run.state(), file)
            except RuntimeError as riddle:  # of torch, about an error of the disk
                raise riddle.__context__ if isinstance(riddle.__context__, OSError) else riddle from None

    on_main(run.accelerator, write)
    run.saved = run.step


def buffers_are_finite(detector: nn.Module) -> bool:
    """Tell whether the statistics that a forward pass moves, as BatchNorm's, are still numbers."""
    return all(bool(buffer.isfinite().all()) for buffer in detector.buffers())


def save_weights(run: Run, name: str) -> None:
    """Write the detector as it is evaluated, whole or not at all.

    Raises:
        InputError: the place cannot be written to; the former weights are intact.
    """
    on_main(run.accelerator, lambda: run.shown.save(run.output / name, overwrite=True))


def load_state(output: Path, data: dict[str, Any], init: str | None = None) -> dict[str, Any] | None:
    """Read the state in ``output``; none if there is none. Nothing in the file is executed.

    Raises:
        InputError: the file is damaged, or the run was started on other data, or not from ``init``.
    """
    path = output / STATE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        before, its_format = state["data"], state.get("format", 1)
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: not a saved state of a training run; train into a new output folder"
        ) from error
    if its_format != _FORMAT:
        raise InputError(
            f"{path}: saved by another version of srtod; end the run with that one or train into a new folder"
        )
    for key, value in data.items():
        if (old := before.get(key, value)) != value:  # a state of an earlier version knows less
            what = "other files, boxes or labels" if key == CONTENT else f"{key} {old}, now it is {value}"
            raise InputError(
                f"{path}: the run was started on data with {what}; resume with the same data or train "
                "into a new output folder"
            )
    if init is not None and (started := state.get("init", init)) != init:
        how = "without --init" if started is None else f"with --init {started}"
        raise InputError(
            f"{path}: the run was started {how}, and goes on without a look at {init}; leave --init out "
            "or train into a new output folder"
        )
    return state


def check_output(output: Path, recipe: Recipe, *, resume: bool) -> None:
    """Make sure that a run may live in a folder; changes nothing.

    Raises:
        InputError: it is not empty, other than with a run that ended before its first step, and ``resume`` is
            not asked for; or ``resume`` is asked for with another recipe, or in a folder that is not of a
            training run.
    """
    config = output / CONFIG
    if not resume and _never_began(output):
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        if not resume:
            raise InputError(f"{output}: not empty; go on with --resume, or choose another output folder")
        if not config.exists() and set(output.iterdir()) != set(scratch_in(output)):
            raise InputError(
                f"{output}: not the folder of a training run (no {CONFIG}), so nothing can be resumed"
            )
    for key, old, new in differing_keys(load_recipe(config), recipe) if config.exists() else ():
        if key not in _MAY_DIFFER:
            raise InputError(
                f"{config}: the run was started with {key}={old}, now it is {new}; "
                "resume with the same recipe or train into a new output folder"
            )


def clear_output(output: Path) -> None:
    """Remove a run that ended before its first step, so that another may take its place.

    Raises:
        InputError: the folder cannot be written to.
    """
    if _never_began(output):
        require_writable(output / CONFIG)
        shutil.rmtree(output / TENSORBOARD, ignore_errors=True)
        remove_scratch(output)
        for name in (STATE, LOG, CONFIG):
            (output / name).unlink(missing_ok=True)


def _never_began(output: Path) -> bool:
    """Whether a folder has what a run writes before its first step, and nothing else."""
    path, own = output / STATE, {CONFIG, STATE, LOG, TENSORBOARD}
    names = {entry.name for entry in output.iterdir()} if output.is_dir() else {""}
    names -= {path.name for path in scratch_in(output)}
    if not names <= own:
        return False
    if not path.exists():
        return not names or _holds_recipe(output)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"] == 0
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, pickle.UnpicklingError):
        return False


def _holds_recipe(output: Path) -> bool:
    """Whether a folder has the recipe of a run that was killed before its first state, not one of a user."""
    config, log = output / CONFIG, output / LOG
    try:
        is_own = recipe_text(load_recipe(config)) == config.read_text(encoding="utf-8")
    except (InputError, OSError):
        return False
    return is_own and not (log.exists() and log.stat().st_size)


def write_recipe(output: Path, recipe: Recipe) -> None:
    """Write the whole recipe into the folder and remove what a killed process left half-written.

    Raises:
        InputError: it cannot be written to.
    """
    write_text(output / CONFIG, recipe_text(recipe))
    remove_scratch(output)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Start every random generator anew from seed, step and process."""
    number = int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
