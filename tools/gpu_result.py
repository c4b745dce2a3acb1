"""Joins what tools/gpu.sh has measured into one file: ``gpu_result.py FOLDER --seconds N``.

FOLDER holds pytest's ``tests.xml`` and the benchmark's ``benchmark.json``, where they got that far; the
result is ``gpu.json`` beside them. The exit code is 0 where both are there and nothing failed.
"""

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from srtod.support.files import read_json, write_json
from srtod.support.provenance import provenance


def main() -> int:
    """Write the file and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, required=True, help="that all of it took")
    options = parser.parse_args()
    tests = _tests(options.folder / "tests.xml")
    measured = options.folder / "benchmark.json"
    benchmark = read_json(measured) if measured.exists() else None
    result = provenance() | {"seconds": options.seconds, "tests": tests, "benchmark": benchmark}
    write_json(options.folder / "gpu.json", result, indent=2)
    rows = [] if benchmark is None else benchmark["rows"]
    wrong = [row for row in rows if "error" in row]
    print(f"{options.folder / 'gpu.json'}: {_told(tests)}; {len(rows)} rows, {len(wrong)} of them failed")
    return 0 if tests and tests["run"] and not tests["failures"] and rows and not wrong else 1


def _tests(path: Path) -> dict[str, Any] | None:
    """Counts of the tests and the first lines of the failures; None where they did not end in time."""
    if not path.exists():
        return None
    cases = list(ET.parse(path).getroot().iter("testcase"))
    failures = {
        f"{case.get('classname')}::{case.get('name')}": (found.get("message") or "").partition("\n")[0]
        for case in cases
        for found in (*case.iter("failure"), *case.iter("error"))
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {"run": len(cases) - skipped, "skipped": skipped, "failures": failures}


def _told(tests: dict[str, Any] | None) -> str:
    if tests is None:
        return "the tests did not end in time"
    return f"{tests['run']} tests, {len(tests['failures'])} failed"


if __name__ == "__main__":
    sys.exit(main())
