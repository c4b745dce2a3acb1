"""Detect squares in one of several processes: ``detect_squares.py FOLDER``."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from test_evaluate import bright, data

from conftest import write_set
from srtod.engine.evaluate import detect

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    accelerator = Accelerator(cpu=True)
    for images in (5, 1):
        annotated = write_set(folder / f"{images}-{accelerator.process_index}", images=images)
        detector = bright()
        shared = detect(detector, data(annotated), progress=False, accelerator=accelerator)
        answer = {
            "shared": shared.boxes.tolist(),
            "seen": sum(detector.batches),
            "alone": detect(detector, data(annotated), progress=False).boxes.tolist(),
        }
        (folder / f"{images}-{accelerator.process_index}.json").write_text(json.dumps(answer))
    accelerator.end_training()
