import io
import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image

import srtod
from srtod.serve.app import create_app
from srtod.serve.connections import Connection
from srtod.serve.limits import Limits
from srtod.serve.run import listen


class Planted:
    """Finds what was planted and a bird as wide as the image; ``gate`` holds it up, ``sizes`` are seen."""

    classes = ("drone", "bird")
    device = torch.device("cpu")

    def __init__(self):
        self.boxes = [[10.0, 12, 16, 17], [40, 20, 44, 23]]
        self.sizes = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, images):
        assert self.gate.wait(timeout=30)
        (image,) = images
        height, width = image.shape[1:]
        self.sizes.append((width, height))
        boxes = torch.tensor([*self.boxes, [0.0, height / 2, width, height]])
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.6, 0.2]), "labels": torch.tensor([0, 0, 1])}]


@pytest.fixture
def planted():
    return Planted()


@pytest.fixture
def client():
    """Make a client of an application around a finder."""

    def make(finder, *, hosts=(), **limits):
        app = create_app(finder, limits=Limits(**limits), hosts=hosts)
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def small_detector():
    """Make a detector of few channels."""

    def make(**changes):
        torch.manual_seed(0)
        settings = {
            "classes": ("drone", "bird"),
            "backbone": "test_resnet",
            "pyramid_channels": 16,
            "box_channels": 16,
            "rpn_proposals": (50, 20),
            "score_threshold": 0.0,
            "detections_per_image": 20,
        }
        return srtod.build_detector("faster-rcnn", **settings | changes).eval()

    return make


@pytest.fixture(scope="session")
def detector(small_detector):
    return small_detector(self_reconstruction={"head": "lite"})


@pytest.fixture(scope="session")
def plain_detector(small_detector):
    return small_detector(self_reconstruction=False)


@pytest.fixture(scope="session")
def picture():
    """Make the bytes of an image file of noise."""

    def make(width=64, height=48, kind="PNG", seed=0):
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        return stream.getvalue()

    return make


@pytest.fixture(scope="session")
def serving():
    """Serve a finder at a free port of this machine; gives its address."""

    @contextmanager
    def start(finder, **limits):
        listening = listen("127.0.0.1", 0)
        app = create_app(finder, limits=Limits(**limits), hosts=("127.0.0.1",))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", http=Connection))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)

    return start


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium of this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"the page is tried in a browser, and none of {', '.join(names)} is installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()
