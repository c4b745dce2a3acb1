"""How many anchors or cells of a detector the objects of a data set are assigned to, in several views."""

from collections.abc import Iterator

import torch
from torch import Tensor

from srtod.data.findings import Finding
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.data.transforms import RandomFlip, crop
from srtod.detectors.border.targets import read_targets
from srtod.detectors.preprocess import Preprocess
from srtod.engine.anchors import outline, with_anchor_scale
from srtod.recipes import DataRecipe, Recipe
from srtod.support.progress import counting_bar
from srtod.types import Target

IMAGES = 100
"""Images of a split that are looked at, evenly spaced."""
_EXAMPLES = 3

View = tuple[Tensor, Target]
"""An image, of which only the size is read, and what is marked in it."""


class Assignment:
    """The assignment of a recipe's detector, at the sizes it is trained at.

    Args:
        recipe: its system, anchors, resize and augmentation.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._pyramid, self._head = outline(recipe.model)
        with torch.device("meta"):
            self._preprocess = Preprocess(resize=recipe.model.resize)
        self._data = recipe.data

    @torch.no_grad()
    def counts(self, record: ImageRecord) -> Tensor:
        """Return how many anchors are to find each object of an image in each view, int64 ``[V, N]``."""
        number = len(record.boxes)
        # The labels say which object it is: no assigner reads classes.
        target: Target = {
            "boxes": torch.from_numpy(record.boxes).float(),
            "labels": torch.arange(number),
            "ignore": torch.from_numpy(record.ignore.copy()),
        }
        image = torch.empty((3, record.height, record.width), dtype=torch.uint8, device="meta")
        cell = self._pyramid.strides[0] / self._preprocess.factor(record.height, record.width)
        views = _views((image, target), self._data, cell)
        return torch.stack([self._counts(*view, number) for view in views])

    def never(self, record: ImageRecord) -> list[int]:
        """Return the rows of the objects of an image that no anchor is to find in any view of it."""
        unfound = (self.counts(record).sum(0) == 0) & ~torch.from_numpy(record.ignore.copy())
        return unfound.nonzero().flatten().tolist()

    def _counts(self, image: Tensor, target: Target, number: int) -> Tensor:
        """How many anchors are to find the object of each label."""
        batch = self._preprocess([image])
        (truth,) = read_targets(
            [target],
            sizes=[(image.shape[1], image.shape[2])],
            scales=batch.scales,
            num_classes=number,
            device=torch.device("cpu"),
        )
        height, width = batch.padded_sizes[0]
        levels = [(-(-height // stride), -(-width // stride)) for stride in self._pyramid.strides]
        assigned = self._head.assigned(levels, batch.sizes[0], batch.padded_sizes[0], truth)
        return truth.labels[assigned[assigned >= 0]].bincount(minlength=number)


def never_assigned(annotated: AnnotatedSet, recipe: Recipe, *, progress: bool = False) -> Iterator[Finding]:
    """Tell the objects of a split that a recipe's detector assigns to no anchor or cell in any view tried.

    Args:
        annotated: the split; of more than :data:`IMAGES` images so many are looked at.
        recipe: what is to be trained.
        progress: show a bar on stderr.
    """
    if not annotated.has_objects:
        return
    recipe = with_anchor_scale(recipe, annotated.records)
    assignment, lines, count, objects = Assignment(recipe), [], 0, 0
    records = annotated.evenly(IMAGES).records
    with counting_bar(len(records), shown=progress) as bar:
        task = bar.add_task(f"assigning {annotated.split}".rstrip(), total=len(records))
        for record in records:
            rows = assignment.never(record)
            count, objects = count + len(rows), objects + record.object_count
            for row in rows[: _EXAMPLES - len(lines)]:
                width, height = record.boxes[row, 2:] - record.boxes[row, :2]
                number = record.annotation_ids[row]
                lines.append(f"{record.path}, annotation {number}: {width:.3g} x {height:.3g} px")
            bar.advance(task)
    if count:
        share = f"{count / objects:.1%} of the objects in {len(records):,} images"
        yield Finding("never-assigned-box", annotated.split, count, (share, *lines), looked_at=len(records))


def _views(whole: View, recipe: DataRecipe, cell: float) -> Iterator[View]:
    """An image as it is, mirrored if the recipe mirrors, and shifted by half a cell if it cuts pieces."""
    yield whole
    chance = torch.Generator()
    if recipe.horizontal_flip:
        yield RandomFlip("horizontal", 1.0)(*whole, chance)
    if recipe.vertical_flip:
        yield RandomFlip("vertical", 1.0)(*whole, chance)
    if recipe.piece is not None:
        height, width = whole[0].shape[1:]
        half = max(1, round(cell / 2))
        for top, left in ((0, half), (half, 0), (half, half)):
            if top < height and left < width:
                yield crop(*whole, top, left, height - top, width - left)
