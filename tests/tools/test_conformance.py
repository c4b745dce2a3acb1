"""The detectors give the numbers of MMDetection and of the authors' code (see tools/conformance.py)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
KIT = ROOT.parent / "shared" / "conformance"
TOOL = ROOT / "tools" / "conformance.py"
SYSTEMS = (
    pytest.param("tridentnet", marks=pytest.mark.long),  # the longest first
    pytest.param(
        "detectors",
        marks=[
            pytest.mark.long,
            pytest.mark.xfail(
                strict=False,
                reason="the kit's weights make levels of 1e4 out of roundings: MMDetection itself, run on "
                "another processor than that of the kit, is as far from it; with calmer weights it is "
                "compared in tests/detectors/systems/test_detecto_rs.py",
            ),
        ],
    ),
    pytest.param("srtod-detectors", marks=pytest.mark.long),
    "srtod-rfla",
    "srtod-cascade-rcnn",
    "srtod-faster-rcnn",
    pytest.param("rfla", marks=pytest.mark.long),  # rows with SR-TOD hold these two
    pytest.param("cascade-rcnn", marks=pytest.mark.long),
    "cascade-rpn",
    "faster-rcnn",
    "dyhead",
    "atss",
    "retinanet",
)

spec = importlib.util.spec_from_file_location("conformance", TOOL)
conformance = importlib.util.module_from_spec(spec)
sys.modules["conformance"] = conformance
spec.loader.exec_module(conformance)

needs_kit = pytest.mark.skipif(not KIT.is_dir(), reason="the reference outputs are not beside the checkout")


@needs_kit
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", SYSTEMS)
def test_equal_to_the_reference(name):
    command = [sys.executable, TOOL, "--kit", KIT, "--systems", name]
    passive = os.environ | {"OMP_WAIT_POLICY": "passive"}  # tests beside it use the cores that it waits on
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=passive)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_kit
def test_nothing_in_the_kit_is_left_out():
    compared = {system if isinstance(system, str) else system.values[0] for system in SYSTEMS}
    assert compared == set(conformance.load_kit(KIT).names())


def test_the_written_table_names_what_is_out_of_tolerance(tmp_path):
    rows = [
        conformance.Errors(system, case, {"levels": error, "maps": None})
        for system, case, error in (("atss", "one", 1e-6), ("rfla", "one", 1e-3), ("rfla", "two", 1e-3))
    ]
    conformance.write_markdown(rows[:1], tmp_path / "good.md")
    conformance.write_markdown(rows, tmp_path / "bad.md")
    good, bad = ((tmp_path / name).read_text() for name in ("good.md", "bad.md"))
    assert good.endswith("| atss | one | 1.0e-06 | - |\n")
    assert bad.endswith("| - |\n\nOut of tolerance: `rfla`; [systems.md](systems.md) says why.\n")


@needs_kit
def test_a_wrong_detector_is_out_of_tolerance():
    kit = conformance.load_kit(KIT)
    meta = kit.meta("srtod-faster-rcnn")
    state = {key: torch.from_numpy(array) for key, array in kit.state_dict("srtod-faster-rcnn").items()}
    detector = conformance.srtod.load_mmdet(conformance.build(meta), state)
    detector.self_reconstruction.filtration.threshold.data += 0.1
    errors = conformance.compare(detector, meta, kit.case("srtod-faster-rcnn", "single"), "single")
    assert not errors.within
