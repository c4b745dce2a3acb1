"""Defaults and choices that the command line and Python share, each in one place; without torch."""

from typing import Literal, get_args

Metric = Literal["AP", "AP50", "AP75", "APvt", "APt", "APs", "APm", "AR"]
"""Names of the metrics, in the order of the paper's tables."""
Precision = Literal["fp32", "bf16", "fp16"]
"""Of the network's arithmetic: 32 bits, or most of it in one of the two kinds of 16."""
Merge = Literal["greedy", "nms"]
"""How the detections of overlapping slices are merged."""
FocusBy = Literal["scores", "mask", "difference", "high-pass", "both"]
"""What ranks the windows of an image of which some are looked at again: both are scores and difference."""
Zoom = Literal[1, 2]
"""Scale of the second look."""
LabelLayout = Literal["coco", "visdrone", "yolo", "voc"]
"""Layouts that can be written."""
ExportPrecision = Literal["fp32", "fp16", "int8"]
"""Of most layers of an exported program."""
ExportFormat = Literal["onnx", "openvino", "torch"]
"""What a detector can be exported to."""
Scale = Literal["full", "light"]
"""How much of a published setting is reproduced."""

Stretch = Literal["auto", "full", "percentiles"] | tuple[float, float]
"""Which values of more than 8 bits become 0 and 255: the ends of the type's range (``full``), percentiles of
the image, or two that are given; ``auto`` takes percentiles where the full range would leave few levels."""

PICTURE_SCORE = 0.3
"""Detections below are in the result files and only counted in the pictures."""
DETECTIONS_PER_IMAGE = 1500
"""How many detections an image may have in AI-TOD's protocol."""
METRICS: tuple[Metric, ...] = get_args(Metric)

SLICE_OVERLAP = 0.2
"""The part of its side that a slice shares with the next one."""
FOCUS_BY: FocusBy = "scores"
"""What ranks the windows where nothing else is asked for."""
FOCUS_ZOOM: Zoom = 1
"""Scale of the second look where nothing else is asked for."""
SHARD_SIZE = 64
"""Images in a shard."""

UPLOAD_MEGABYTES = 64.0
"""Largest file that the server takes."""
MEGAPIXELS = 25.0
"""Largest image that the server takes, in million pixels."""
QUEUE = 8
"""Requests that may wait for the server."""
REQUEST_SECONDS = 120.0
"""How long a request to the server may take."""
