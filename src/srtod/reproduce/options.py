"""What a user may ask of a comparison."""

from dataclasses import dataclass, replace
from typing import Any

from srtod.support.errors import InputError


@dataclass(frozen=True)
class Options:
    """How much is done, on what, and where.

    Attributes:
        seeds: trainings of each row, with the seeds 0, 1, ...
        budget: minutes for everything; chooses the epochs.
        epochs: of every row; None is the recipe's own.
        fraction: share of the training images; None is all of them.
        scale: ``full`` is the recipe as it is, ``light`` lays the recipe ``_light`` over it; None is ``full``
            where there is a GPU, else ``light``.
        changes: ``section.key=value`` on every row's recipe.
        split: to evaluate on; None is ``val``, else ``test``.
        format: layout of the data; recognised where None.
        skip_bad: leave out what is damaged.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: a number out of range, or two options that exclude each other.
    """

    seeds: int = 1
    budget: float | None = None
    epochs: int | None = None
    fraction: float | None = None
    scale: str | None = None
    changes: tuple[str, ...] = ()
    split: str | None = None
    format: str | None = None
    skip_bad: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.budget is not None and (self.epochs is not None or self.fraction is not None):
            raise InputError("--budget chooses epochs and fraction itself; leave --epochs and --fraction out")
        if self.budget is not None and not self.budget > 0:
            raise InputError(f"--budget {self.budget:g}: give minutes, more than 0")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise InputError(f"--fraction {self.fraction:g}: give a share above 0 and up to 1")
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"--epochs {self.epochs}: give 1 or more")

    def settled(self) -> "Options":
        """Return the same with device and scale decided.

        Raises:
            InputError: the device is unknown, or not there.
        """
        from srtod.support.devices import ONE_GPU, choose_device

        device = choose_device(self.device, among=ONE_GPU).type
        return replace(self, device=device, scale=self.scale or ("full" if device == "cuda" else "light"))

    def asked(self) -> dict[str, Any]:
        """Return what decides the numbers, by the name of the option, as plain values."""
        return {
            "--budget": self.budget,
            "--epochs": self.epochs,
            "--fraction": self.fraction,
            "--scale": self.scale,
            "--set": list(self.changes),
            "--device": self.device,
        }
