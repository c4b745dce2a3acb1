"""The names of what is found in data sets: how bad each is, and what to do."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""Objects are lost or the evaluation is worth nothing; accuracy is lost; good to know."""


class Rule(NamedTuple):
    """What a name stands for.

    Attributes:
        severity: how bad it is.
        remedy: what to do.
        says: how faults and notes of this name begin after the names of files, a regular expression.
        fix: what ``srtod data fix`` does about it; nothing where the text is empty.
    """

    severity: Severity
    remedy: str
    says: str = ""
    fix: str = ""


FAULTS: Mapping[str, Rule] = {
    "missing-image": Rule(
        "error",
        "put the files there, or correct their names",
        "missing image|no such file",
        "leaves their entries out",
    ),
    "image-without-annotation": Rule(
        "error",
        "add the annotation file, an empty one if nothing is in the image",
        "there is no (such annotation file|annotations/|labelTxt)",
        "leaves the images out",
    ),
    "annotation-without-image": Rule(
        "error",
        "put the images there, or remove their annotations",
        "there is no image",
        "leaves the annotations out",
    ),
    "image-of-another-size": Rule(
        "error",
        "annotate the image that is there, or put the right one there",
        "the image is .* annotations say",
        "leaves the images out",
    ),
    "unreadable-image": Rule(
        "error",
        "replace the files",
        "damaged image|empty file|a pointer of Git LFS|not an image|a .* which is not read|"
        "more than .* million pixels",
        "leaves the images out",
    ),
    "unknown-pixel-range": Rule(
        "error",
        "give LOW,HIGH with --stretch (to train: --set model.stretch=[LOW,HIGH]), or save with 8 or 16 bits "
        "without sign",
        "pixels of .*--stretch",
    ),
    "box-twice": Rule("warning", "each counts once", "box .* twice or more", "writes them once"),
    "box-without-size": Rule(
        "error", "correct the boxes", "box .* zero or negative size", "makes regions to ignore of them"
    ),
    "box-outside-image": Rule("error", "correct the boxes", "box .* lies outside", "leaves them out"),
    "box-across-edge": Rule("warning", "correct the boxes", "box .* reaches out of", "clips them"),
    "box-not-a-number": Rule(
        "error", "correct the boxes", "b?box .*(finite|list of four numbers)", "leaves their images out"
    ),
    "unknown-class": Rule(
        "error",
        "name the class",
        "unknown category|category_id |lacks the key 'category_id'|has no class",
        "makes regions to ignore of them",
    ),
    "nothing-annotated": Rule(
        "error", "give the annotations, or the folder that has them", "no annotations at all"
    ),
    "no-images": Rule("error", "give the folder that has the images", "no images at all"),
    "unusable-entry": Rule(
        "error",
        "correct the entries",
        fix="leaves them out, with their images where an object has no place",
    ),
}
"""Faults of files, images and boxes; a fault has the first name whose text it says, the last fits all."""

NOTES: Mapping[str, Rule] = {
    "image-listed-twice": Rule(
        "note", "each counts once", r"[\d,]+ images are there again", "lists them once"
    ),
    "size-filled-in": Rule(
        "note",
        "nothing, it is taken from the image",
        r"[\d,]+ images are without width and height",
        "writes the sizes",
    ),
    "unused-class": Rule("note", "add objects of it; it keeps its number", r"nothing refers to [\d,]+ of"),
    "left-out": Rule("note", "look whether it is meant to be left out", "left out|not read", "leaves it out"),
    "read-otherwise": Rule("note", "look whether it is meant so", fix="writes it as it was read"),
}
"""What was read otherwise than it is written, likewise."""

OBSERVATIONS: Mapping[str, Rule] = {
    "leaked-image": Rule("error", "take it out of one of the splits: what is learned must not be asked for"),
    "no-objects": Rule("error", "mark objects: regions to ignore are neither learned nor evaluated on"),
    "near-duplicate-across-splits": Rule(
        "warning", "look at them; keep what shows one place in one split (data split --group-by)"
    ),
    "box-below-2-px": Rule("warning", "annotate the objects whole, in images of higher resolution"),
    "never-assigned-box": Rule(
        "warning",
        "smaller anchors (model.anchor_scale), larger images (model.resize), or a system whose objects take "
        "the nearest anchors (rfla)",
    ),
    "implausible-size": Rule("warning", "look at them: wrong class, several objects in a box?"),
    "implausible-aspect-ratio": Rule("warning", "look at them: wrong class, several objects in a box?"),
    "image-without-objects": Rule(
        "note", "look whether they are empty; data.images_without_boxes: false trains without them"
    ),
    "narrow-pixel-range": Rule("note", "they are stretched; one window for all images is steadier"),
    "image-id-not-a-number": Rule(
        "note", "some tools want whole numbers", fix="counts the images anew, from 1"
    ),
    "mixed-image-sizes": Rule("note", "data.crop or model.resize makes batches of like sizes"),
}
"""What is found by looking at boxes and images."""

RULES: Mapping[str, Rule] = {**FAULTS, **NOTES, **OBSERVATIONS}
"""All of them; the names stay the same from version to version."""
