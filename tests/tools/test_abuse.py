"""What readers and server make of hostile files and clients (tools/abuse.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "abuse.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hostile_files_and_clients_leave_no_trace():
    # The time that another user waits is read on a quiet machine: tests beside this one take the cores.
    command = [sys.executable, TOOL, "--inputs", "25", "--wait", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "another user asked" in done.stdout and "silent connections" in done.stdout
