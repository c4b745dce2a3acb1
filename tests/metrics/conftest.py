"""The referee, pycocotools, as the benchmark uses it."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"
    spec = importlib.util.spec_from_file_location("benchmark_evaluation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def truth() -> dict[str, Any]:
    """Two images, two classes with far-apart ids, three objects and a region to ignore."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 100, "height": 100},
            {"id": 3, "file_name": "b.png", "width": 100, "height": 100},
        ],
        "categories": [{"id": 90, "name": "bird"}, {"id": 4, "name": "drone"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [10, 10, 6, 6], "area": 36, "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [50, 50, 20, 20], "area": 400, "iscrowd": 0},
            {"id": 3, "image_id": 3, "category_id": 4, "bbox": [30, 30, 12, 12], "area": 144, "iscrowd": 0},
            {"id": 4, "image_id": 3, "category_id": 4, "bbox": [60, 60, 30, 30], "area": 900, "iscrowd": 1},
        ],
    }


@pytest.fixture
def results() -> list[dict[str, Any]]:
    """Both drones found, the bird missed, one detection inside the region to ignore."""
    return [
        {"image_id": 7, "category_id": 4, "bbox": [10, 10, 6, 6], "score": 0.9},
        {"image_id": 3, "category_id": 4, "bbox": [30, 30, 12, 12], "score": 0.8},
        {"image_id": 3, "category_id": 4, "bbox": [62, 62, 8, 8], "score": 0.95},
    ]


class Files:
    """Writes annotations and detections and gives their paths."""

    def __init__(self, folder: Path) -> None:
        self.annotations = folder / "truth.json"
        self.detections = folder / "found.json"

    def write(self, truth: Any, results: Any) -> tuple[Path, Path]:
        for path, value in ((self.annotations, truth), (self.detections, results)):
            path.write_text(value if isinstance(value, str) else json.dumps(value))
        return self.annotations, self.detections


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
