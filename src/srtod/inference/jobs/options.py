"""What may be asked of a job, and which of it goes with what."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from srtod.defaults import PICTURE_SCORE, SHARD_SIZE, LabelLayout, Precision, Stretch
from srtod.inference.slices import Slicing
from srtod.inference.views import ONE_VIEW, Views
from srtod.support.errors import InputError
from srtod.support.validation import validated

Kind = Literal["images", "videos", "--engine ray"]

_ABOUT: dict[str, tuple[Kind, ...]] = {
    "annotations": ("images",),
    "split": ("images",),
    "labels": ("images",),
    "stretch": ("images", "--engine ray"),
    "pictures": ("images", "videos"),
    "picture_score": ("images", "videos"),
    "every": ("videos",),
    "track": ("videos",),
    "workers": ("--engine ray",),
    "shard_size": ("--engine ray",),
}
"""The options that are not about every kind of job."""


class JobOptions(BaseModel):
    """How images or videos are looked at, and what is written.

    The network computes on ``device``, in ``precision``.

    Attributes:
        score_threshold: keep detections of at least this score; None: as calibrated, else as trained.
        batch_size: images, frames, or slices of one, that go through the network together.
        slicing: look at each image in slices; then it may be larger than what is read whole.
        views: look at each image, frame or slice in several views.
        stretch: which values of images of more than 8 bits become 0 and 255; None: as trained.
        skip_bad: leave out what cannot be read, instead of stopping.
        resume: go on with the job in the output folder.
        progress: show a bar on standard error, and notes as they come.
        pictures: draw annotated pictures, or videos.
        picture_score: detections below are not drawn, are no labels, and begin no track.
        annotations, split: a data set that has the images; results take its ids, pictures show its ground
            truth.
        labels: write what is drawn as a data set of this layout, too.
        every: of a video, look at each ``every``-th frame.
        track: number the objects of a video.
        workers: processes that each hold a detector. On this machine they divide its cores among them.
        shard_size: images in a shard, which is what is lost when a worker dies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    device: str = "auto"
    precision: Precision = "fp32"
    score_threshold: float | None = None
    batch_size: int = Field(default=1, ge=1)
    slicing: Slicing | None = None
    views: Views = ONE_VIEW
    stretch: Stretch | None = None
    skip_bad: bool = False
    resume: bool = False
    progress: bool = True
    pictures: bool = True
    picture_score: float = Field(default=PICTURE_SCORE, ge=0, le=1)
    annotations: Path | None = None
    split: str | None = None
    labels: LabelLayout | None = None
    every: int = Field(default=1, ge=1)
    track: bool = False
    workers: int = Field(default=1, ge=1)
    shard_size: int = Field(default=SHARD_SIZE, ge=1)

    @classmethod
    def of(cls, **given: Any) -> "JobOptions":
        """Take the options that are asked for.

        Raises:
            InputError: an unknown one, or a value out of range.
        """
        return validated(cls, given, where="predict")

    def require(self, *kinds: Kind) -> None:
        """Make sure that what was asked for is about one of these kinds of job.

        Raises:
            InputError: an option is about others, or about something that is not asked for.
        """
        for name in sorted(self.model_fields_set & _ABOUT.keys()):
            if not set(kinds) & set(_ABOUT[name]):
                raise InputError(
                    f"{_flag(name)} is about {' and '.join(_ABOUT[name])}; leave it out for {kinds[0]}"
                )
        if "split" in self.model_fields_set and self.annotations is None:
            raise InputError("--split is about --annotations; add them or leave it out")
        drawn = self.pictures or self.labels is not None or self.track
        if "picture_score" in self.model_fields_set and not drawn:
            raise InputError("--picture-score is about pictures, labels and tracks; none are asked for")

    def deciding(self, *names: str) -> dict[str, Any]:
        """What decides the results, as plain values: what is always so, and the options of these names."""
        always = {"slicing", "score_threshold", "precision", "stretch"}
        if not self.views.one:
            always.add("views")
        return self.model_dump(mode="json", include=always | set(names))


DEFAULT_OPTIONS = JobOptions()


def _flag(name: str) -> str:
    return "--no-pictures" if name == "pictures" else f"--{name.replace('_', '-')}"
