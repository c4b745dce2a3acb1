"""One thread a process, and the devices that a test runs on.

Test processes share the cores, so each computes with one thread; sums do not depend on them.
"""

import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch

with suppress(ImportError):  # tools/gpu.sh goes without
    from hypothesis import settings

    settings.register_profile("shared cores", deadline=None)  # an example may wait for its turn
    settings.load_profile("shared cores")
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

CUDA = [pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else []


@pytest.fixture(params=["cpu", *CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The CPU, and a GPU where there is one: a test that takes it runs on both."""
    return torch.device(request.param)


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared data beside the checkout")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that take a device, and skip those of a GPU where there is none."""
    for item in items:
        if "device" in getattr(item, "fixturenames", ()):
            item.add_marker("device")
        if item.get_closest_marker("gpu") and not CUDA:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))
