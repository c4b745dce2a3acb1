"""Whether every image file can be read and has the size its annotations say."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from srtod.data.images import image_size
from srtod.data.records import AnnotatedSet, Fault, ImageRecord
from srtod.support.errors import InputError


def check_images(
    annotated: AnnotatedSet,
    *,
    progress: bool = False,
    look: Callable[[ImageRecord, NDArray[np.uint8]], object] | None = None,
) -> AnnotatedSet:
    """Decode every image; those that cannot be read or have another size become faults.

    Args:
        annotated: the set to check.
        progress: show a bar on stderr.
        look: is called with each image and its pixels, in several threads.
    """

    def check(record: ImageRecord) -> None:
        pixels = record.read()
        if look is not None:
            look(record, pixels)

    return _check(annotated, check, progress)


def check_sizes(annotated: AnnotatedSet, *, progress: bool = False) -> AnnotatedSet:
    """Compare the size in every image's header with its record; others become faults.

    Unlike :func:`check_images` this refuses a photograph that is rotated by EXIF where the annotations refer
    to the stored pixels: a layout that leaves the size to the image file cannot say so.
    """

    def check(record: ImageRecord) -> None:
        size = image_size(record.path)
        if size != (record.width, record.height):
            raise InputError(
                f"{record.path}: the image is shown with {size[0]} x {size[1]} pixels, its annotations say "
                f"{record.width} x {record.height}; correct them, or turn the image upright for good"
            )

    return _check(annotated, check, progress)


def _check(annotated: AnnotatedSet, check: Callable[[ImageRecord], object], progress: bool) -> AnnotatedSet:
    def fault(record: ImageRecord) -> Fault | None:
        try:
            check(record)
        except InputError as error:
            what = str(error).removeprefix(f"{record.path}: ")
            return Fault(record.path, what, record.image_id)
        return None

    console = Console(stderr=True)
    # Threads suffice: Pillow decodes outside the interpreter lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = track(
            pool.map(fault, annotated.records),
            description=f"checking images {annotated.split}".rstrip(),
            total=len(annotated.records),
            console=console,
            transient=True,
            disable=not (progress and console.is_terminal),
        )
        by_record = list(zip(annotated.records, faults, strict=True))
    sound = tuple(record for record, fault in by_record if fault is None)
    found = tuple(fault for _, fault in by_record if fault is not None)
    return replace(annotated, records=sound, faults=annotated.faults + found)
