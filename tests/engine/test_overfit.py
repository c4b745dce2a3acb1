"""A system, plain and with self-reconstruction, overfits four images (benchmarks/overfit.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ROOT.parent / "shared" / "data" / "tinyperson"


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not IMAGES.is_dir(), reason="the images are not beside the checkout")
def test_overfits_four_images():
    command = [
        sys.executable,
        ROOT / "benchmarks" / "overfit.py",
        IMAGES,
        "--systems",
        "faster-rcnn",
        "--images",
        "4",
        "--jobs",
        "2",
        "--set",
        "train.epochs=100",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("faster-rcnn") == 1
