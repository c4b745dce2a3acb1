"""Detections of new images, and the maps that explain them."""

from srtod.inference.explain import explain_file
from srtod.inference.inputs import ImageFile, collect_images, ids_of_classes, with_annotations, with_truth
from srtod.inference.predict import load_detector, load_finder, predict
from srtod.inference.prediction import Prediction, to_supervision
from srtod.inference.slices import SlicedFinder, Slicing, find_in_slices, in_slices
from srtod.inference.speed import for_inference

__all__ = [
    "ImageFile",
    "Prediction",
    "SlicedFinder",
    "Slicing",
    "collect_images",
    "explain_file",
    "find_in_slices",
    "for_inference",
    "ids_of_classes",
    "in_slices",
    "load_detector",
    "load_finder",
    "predict",
    "to_supervision",
    "with_annotations",
    "with_truth",
]
