"""The switches of self-reconstruction, with the defaults in one place."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class SelfReconstructionConfig(BaseModel):
    """How a detector reconstructs its image and what it does with the difference.

    The authors' code is ``surrogate="sign", resize="nearest", padding="include"``.

    Attributes:
        head: ``paper`` (equations 1-2: one up-sampling block per factor 2) or ``lite`` (two 3x3
            convolutions and a pixel shuffle, a twentieth of the cost).
        target: what the head learns to rebuild: the ``image`` (the paper's); its ``background``, with no
            loss on annotated objects; or the image with these ``painted`` over by their surroundings. What
            the head does not learn to rebuild stays in the difference.
        losses_teach: what gradients reach through the reconstruction and a predicted mask: all down to the
            ``backbone``, or self-reconstruction's own ``heads`` alone.
        difference: ``pixel`` (equation 3), ``high-frequency`` (of the high-passed images, paper's table 7),
            ``relative`` to the mean difference around each pixel, or as a control ``high-pass``, of the image
            alone.
        mask: where the mask comes from: the filtered ``difference`` (equation 4); ``distilled``, a small
            predictor on the level that learns to predict that mask, so that predicting rebuilds no image; or
            ``boxes``, the same predictor taught by the annotated boxes, whatever the difference says. With
            an enhancement that reads no mask it is there to be looked at.
        filtration: ``learnable`` threshold (equation 4), ``fixed`` threshold, ``soft`` (a sigmoid of width
            ``temperature`` around a learnable threshold), ``quantile`` (a threshold that follows the training
            images, so that ``share`` of their cells are set), or ``none`` (the difference).
        threshold: start (learnable, quantile) or value (fixed) of the threshold, in intensities of 0..1.
        share: of the cells that ``quantile`` sets.
        mask_gradient: what the losses behind the mask teach through it: the ``threshold`` alone, or the
            ``reconstruction``, too, which then can set a cell by rebuilding it badly.
        surrogate: gradient of the hard mask: ``sigmoid`` (that of a sigmoid of width ``temperature``) or
            ``sign`` (zero, so that the threshold is never learned, as in the authors' code).
        temperature: width of the (surrogate) sigmoid, in intensities of 0..1.
        resize: image-sized mask to level-sized mask: ``nearest`` (reads one pixel a cell), ``max``, ``area``.
        enhancement: ``attention`` (DGFE, equations 5-6), ``multiply`` or ``concatenate`` (paper's table 6);
            ``gated``, ``normalised`` and ``add`` leave the level as it is at first: DGFE behind a gate, the
            same with its mean taken out, a learned vector where the mask is set;
            ``residual`` adds what the reconstruction misses to the level, with its signs and colours;
            ``image`` adds the image itself in the same way, to tell what the reconstruction is good for;
            ``none`` leaves the level as it is, so that only the loss is left (paper's table 4).
        levels: how many levels are enhanced, from the lowest.
        padding: ``exclude`` the batch's padding from loss and difference, or ``include`` it.
        loss_weight: factor of the reconstruction loss.
        mask_weight: factor of the loss that teaches the predictor of the mask.
        object_map_weight: factor of the loss of a map of the objects at the image's size, which is predicted
            from the lowest level in training alone; 0 goes without.
        opens_after: training passes in which the levels stay as they are and the head learns alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    head: Literal["paper", "lite"] = "paper"
    target: Literal["image", "background", "painted"] = "image"
    losses_teach: Literal["backbone", "heads"] = "backbone"
    difference: Literal["pixel", "high-frequency", "relative", "high-pass"] = "pixel"
    mask: Literal["difference", "distilled", "boxes"] = "difference"
    filtration: Literal["learnable", "fixed", "soft", "quantile", "none"] = "learnable"
    threshold: float = Field(default=4 / 255, ge=0, le=1)
    share: float = Field(default=0.05, gt=0, lt=1)
    mask_gradient: Literal["threshold", "reconstruction"] = "threshold"
    surrogate: Literal["sigmoid", "sign"] = "sigmoid"
    temperature: float = Field(default=0.02, gt=0)
    resize: Literal["nearest", "max", "area"] = "max"
    enhancement: Literal[
        "attention", "multiply", "concatenate", "gated", "normalised", "add", "residual", "image", "none"
    ] = "attention"
    levels: int = Field(default=1, ge=1)
    padding: Literal["exclude", "include"] = "exclude"
    loss_weight: float = Field(default=1.0, ge=0)
    mask_weight: float = Field(default=1.0, ge=0)
    object_map_weight: float = Field(default=0.0, ge=0)
    opens_after: int = Field(default=0, ge=0)

    @property
    def enhances(self) -> bool:
        """Whether levels are changed at all, and not just looked at."""
        return self.enhancement != "none"

    @property
    def changes_detections(self) -> bool:
        """Whether detections are others than without self-reconstruction."""
        return self.enhances or self.losses_teach == "backbone"

    @classmethod
    def harmless(cls) -> Self:
        """What ``self_reconstruction=True`` means: maps to look at, which cost the detections nothing.

        No enhancement gained more than chance in matched comparisons, so the levels stay as they are, and
        the losses teach the light head and the mask alone: a training leaves all other weights bit for bit
        as it does without. The mask is taught by the boxes, since it then tells objects from the rest far
        better than a difference does.
        """
        return cls(head="lite", losses_teach="heads", mask="boxes", enhancement="none")
