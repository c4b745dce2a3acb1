"""Small data sets on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def make_image():
    """Writes an image of noise and returns its path."""

    def make(path: Path, size: tuple[int, int] = (64, 48), **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, **options)
        return path

    return make


@pytest.fixture
def make_coco(make_image):
    """Writes a COCO set of 64 x 48 images under ``<root>/images`` and returns the JSON file.

    ``changes`` replace top-level keys; two images a.png and b.png, two classes 3 "cat" and 7 "dog".
    """

    def make(root: Path, name: str = "train.json", *, images=("a.png", "b.png"), **changes) -> Path:
        for image in images:
            make_image(root / "images" / image)
        content = {
            "images": [
                {"id": number, "file_name": image, "width": 64, "height": 48}
                for number, image in enumerate(images, start=1)
            ],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 6, 6]},
                {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0, 0, 2.5, 1.5]},
            ],
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        }
        content |= changes
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
        return file

    return make
