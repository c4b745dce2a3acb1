"""What is left after kills and full disks in the middle of the work (tools/faults.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "faults.py"
SPACE = ("unshare", "--user", "--map-root-user", "--mount", "true")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_by_kills_and_full_disks():
    if subprocess.run(SPACE, check=False, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    command = [sys.executable, TOOL, "--kills", "2", "--fills", "1", "--verbs", "convert,predict"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predict" in done.stdout and "convert" in done.stdout
