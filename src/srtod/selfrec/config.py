"""The switches of self-reconstruction, with the defaults in one place."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SelfReconstructionConfig(BaseModel):
    """How a detector reconstructs its image and what it does with the difference.

    The authors' code is ``surrogate="sign", resize="nearest", padding="include"``.

    Attributes:
        head: ``paper`` (equations 1-2: one up-sampling block per factor 2) or ``lite`` (two 3x3
            convolutions and a pixel shuffle, a twentieth of the cost).
        difference: ``pixel`` (equation 3) or ``high-frequency`` (of the high-passed images, paper's table 7).
        filtration: ``learnable`` threshold (equation 4), ``fixed`` threshold, or ``none`` (the difference).
        threshold: start (learnable) or value (fixed) of the threshold, in intensities of 0..1.
        surrogate: gradient of the hard mask: ``sigmoid`` (that of a sigmoid of width ``temperature``) or
            ``sign`` (zero, so that the threshold is never learned, as in the authors' code).
        temperature: width of the surrogate sigmoid, in intensities of 0..1.
        resize: image-sized mask to level-sized mask: ``nearest`` (reads one pixel a cell), ``max``, ``area``.
        enhancement: ``attention`` (DGFE, equations 5-6), ``multiply`` or ``concatenate`` (paper's table 6).
        padding: ``exclude`` the batch's padding from loss and difference, or ``include`` it.
        loss_weight: factor of the reconstruction loss.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: Literal["paper", "lite"] = "paper"
    difference: Literal["pixel", "high-frequency"] = "pixel"
    filtration: Literal["learnable", "fixed", "none"] = "learnable"
    threshold: float = Field(default=4 / 255, ge=0, le=1)
    surrogate: Literal["sigmoid", "sign"] = "sigmoid"
    temperature: float = Field(default=0.02, gt=0)
    resize: Literal["nearest", "max", "area"] = "max"
    enhancement: Literal["attention", "multiply", "concatenate"] = "attention"
    padding: Literal["exclude", "include"] = "exclude"
    loss_weight: float = Field(default=1.0, ge=0)
