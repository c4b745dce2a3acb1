"""The folder of a reader: the files and folders that the documents speak of, small ones."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

import srtod

SIDE = 96


def _picture(chance: np.random.Generator, side: int) -> tuple[np.ndarray, list[list[int]]]:
    """A dark image with four bright squares, and their boxes (x y width height)."""
    pixels = chance.integers(0, 60, (side, side, 3), dtype=np.uint8)
    boxes = [[int(x), int(y), 10, 10] for x, y in chance.integers(0, side - 10, (4, 2))]
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = 220
    return pixels, boxes


def _data(folder: Path, chance: np.random.Generator, names: dict[str, list[str]]) -> None:
    """A COCO data set: the names of the images of each annotation file."""
    (folder / "images").mkdir(parents=True)
    for split, files in names.items():
        images, annotations = [], []
        for number, name in enumerate(files):
            pixels, boxes = _picture(chance, SIDE)
            Image.fromarray(pixels).save(folder / "images" / name)
            images.append({"id": number + 1, "file_name": name, "width": SIDE, "height": SIDE})
            annotations += [
                {"id": 0, "image_id": number + 1, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
                for box in boxes
            ]
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "drone"}]}
        (folder / f"{split}.json").write_text(json.dumps(content))


def _video(path: Path, chance: np.random.Generator) -> None:
    path.parent.mkdir(exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = SIDE
        for _ in range(6):
            frame = av.VideoFrame.from_ndarray(_picture(chance, SIDE)[0], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _weights(path: Path, system: str = "faster-rcnn") -> None:
    torch.manual_seed(0)
    path.parent.mkdir(exist_ok=True)
    srtod.build_detector(
        system,
        classes=("drone",),
        backbone="test_resnet",
        pyramid_channels=16,
        box_channels=16,
        rpn_proposals=(50, 20),
        self_reconstruction={"head": "lite"},
    ).save(path)


@pytest.fixture(scope="session")
def readers_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the documents' commands take, by the names that they call it."""
    folder = tmp_path_factory.mktemp("reader")
    chance = np.random.default_rng(0)
    splits = {"train": 4, "val": 2, "test": 2}
    _data(folder / "DATA", chance, {s: [f"{s}{n}.png" for n in range(count)] for s, count in splits.items()})
    shutil.copytree(folder / "DATA", folder / "SWARM")
    _data(folder / "FLIGHTS", chance, {"all": [f"flight{n // 2}_{n}.png" for n in range(10)]})
    for name in ("photo.jpg", "PHOTO.jpg", "image.png", "PHOTOS/a.jpg", "PHOTOS/b.png", "flight/c.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(_picture(chance, SIDE)[0]).save(folder / name)
    for name in ("survey.tif", "large.jpg"):
        Image.fromarray(_picture(chance, 700)[0]).save(folder / name)
    for name in ("flight.mp4", "day1/morning.mp4"):
        _video(folder / name, chance)
    _weights(folder / "weights.safetensors")
    shutil.copy(folder / "weights.safetensors", folder / "W")
    _weights(folder / "run" / "best.safetensors")
    return folder


@pytest.fixture
def backbones_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backbone of the recipe ``small`` stands in the hub's cache, so that nothing is downloaded."""
    model = timm.create_model("mobilenetv2_100")
    repository, version = "timm/mobilenetv2_100.ra_in1k", "0" * 40
    cache = tmp_path / "hub"
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "snapshots" / version).mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(version)
    save_file(model.state_dict(), place / "snapshots" / version / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
