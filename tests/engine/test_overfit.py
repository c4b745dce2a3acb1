"""Each system, plain and with self-reconstruction, learns eight images by heart (see benchmarks/overfit.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

from srtod.detectors.zoo import SYSTEMS

ROOT = Path(__file__).parents[2]
IMAGES = ROOT.parent / "shared" / "data" / "tinyperson"


@pytest.mark.skipif(not IMAGES.is_dir(), reason="the images are not beside the checkout")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "system",
    [
        pytest.param(system, marks=pytest.mark.slow if system == "rfla" else pytest.mark.overfit)
        for system in SYSTEMS
    ],
)
def test_knows_eight_images(system):
    command = [sys.executable, ROOT / "benchmarks" / "overfit.py", IMAGES, "--systems", system]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(system) == 1
