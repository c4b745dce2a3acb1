"""A data set of a few small images and a recipe that trains a few small weights on it in seconds."""

import json
import multiprocessing
import runpy
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.recipes import Recipe, load_recipe

RECIPE = Path(__file__).with_name("tiny.yaml")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_set(folder: Path, *, images: int, seed: int = 0, split: str = "train") -> AnnotatedSet:
    """Dark images with bright squares, the first one with nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    records = []
    for number in range(images):
        pixels = chance.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        corners = chance.integers(0, 50, (3 if number else 0, 2))
        boxes = np.array([[x, y, x + 10, y + 10] for x, y in corners], dtype=np.float64).reshape(-1, 4)
        for x, y in corners:
            pixels[y : y + 10, x : x + 10] = 220
        path = folder / f"{split}{number}.png"
        Image.fromarray(pixels).save(path)
        records.append(
            ImageRecord(
                image_id=100 + number,
                file_name=path.name,
                path=path,
                width=64,
                height=64,
                boxes=boxes,
                labels=np.zeros(len(boxes), np.int64),
                ignore=np.zeros(len(boxes), bool),
                annotation_ids=np.arange(len(boxes)),
            )
        )
    return AnnotatedSet(folder, "coco", split, ("square",), tuple(records))


@pytest.fixture(scope="module")
def training(squares_folder, recipe_file):
    """Make the words of a training of the squares on a CPU: output, and more of them."""

    def made(output, *more):
        places = (squares_folder, "--recipe", recipe_file, "--output", output)
        return ("train", *places, "--device", "cpu", *more)

    return made


@pytest.fixture(name="write_set", scope="session")
def _write_set() -> Callable[..., AnnotatedSet]:
    return write_set


@pytest.fixture(scope="session")
def recipe_file() -> Path:
    return RECIPE


@pytest.fixture(scope="session")
def tiny_recipe() -> Callable[..., Recipe]:
    """Makes the tiny recipe, changed by ``section.key=value``."""
    return lambda *changes: load_recipe(RECIPE, changes)


@pytest.fixture
def squares(tmp_path: Path) -> AnnotatedSet:
    return write_set(tmp_path / "data", images=6)


@pytest.fixture
def held_out(tmp_path: Path) -> AnnotatedSet:
    return write_set(tmp_path / "data", images=3, seed=1, split="val")


def write_coco(folder: Path) -> Path:
    """The same squares as a folder that ``srtod train`` takes: 6 images to train on, 3 held out."""
    for split, images, seed in (("train", 6, 0), ("val", 3, 1)):
        annotated = write_set(folder / "images", images=images, seed=seed, split=split)
        content = {
            "images": [
                {"id": r.image_id, "file_name": r.file_name, "width": 64, "height": 64}
                for r in annotated.records
            ],
            "annotations": [
                {"image_id": r.image_id, "category_id": 1, "bbox": [x, y, 10, 10], "area": 100, "iscrowd": 0}
                for r in annotated.records
                for x, y, _, _ in r.boxes.tolist()
            ],
            "categories": [{"id": 1, "name": "square"}],
        }
        for number, annotation in enumerate(content["annotations"]):
            annotation["id"] = number + 1
        (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def squares_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("squares"))


class Command:
    """The command ``srtod`` in processes of its own, which can be killed; they start fast, being forked."""

    def __init__(self) -> None:
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(["srtod.engine.launch", "torch.utils.tensorboard"])

    def start(self, *words: object, log: Path, environment: dict[str, str] | None = None) -> BaseProcess:
        """Start ``srtod WORDS``; what it says goes to ``log``.

        Resuming starts in a new second, as it does when Python has to start first: TensorBoard names its
        files by the second, and reads those of one second in any order.
        """
        if "--resume" in words:
            time.sleep(1 - time.time() % 1)
        told = {"WORDS": [str(word) for word in words], "LOG": str(log), "ENVIRONMENT": environment or {}}
        script = str(Path(__file__).with_name("srtod_process.py"))
        process = self._server.Process(target=runpy.run_path, args=(script, told))
        process.start()
        return process

    def run(self, *words: object, log: Path) -> int:
        """Run ``srtod WORDS`` to its end and return its exit code."""
        return self.ended(self.start(*words, log=log))

    def run_together(self, *words: object, processes: int, log: Path) -> list[int]:
        """Run ``srtod WORDS`` in several processes to their ends and return their exit codes."""
        return [self.ended(process) for process in self.start_together([words] * processes, log=log)]

    def start_together(self, words: Sequence[Sequence[object]], *, log: Path) -> list[BaseProcess]:
        """Start a process for each list of words as torchrun does; process i says it to ``LOG.i``."""
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        size = str(len(words))
        shared = {
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": size,
            "LOCAL_WORLD_SIZE": size,
        }
        return [
            self.start(
                *own,
                log=log.with_suffix(f".{rank}"),
                environment=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank, own in enumerate(words)
        ]

    def ended(self, process: BaseProcess, seconds: float = 120) -> int:
        """Wait for the end and return the exit code (negative: killed by that signal)."""
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError("the process did not end")
        return process.exitcode

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something to become true."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("it did not happen")
            time.sleep(0.005)


@pytest.fixture(scope="session")
def command() -> Command:
    return Command()
