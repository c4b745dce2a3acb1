"""What the command line does before a verb does its work."""

import subprocess
import sys

import pytest

import srtod
from srtod.cli.main import TorchNotice

ABOUT_TORCH = """
import sys
from srtod.cli.main import app
try:
    app({arguments!r})
except SystemExit as ended:
    assert not ended.code, ended.code
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["train", "--help"]])
def test_help_is_there_without_torch(arguments):
    program = [sys.executable, "-c", ABOUT_TORCH.format(arguments=arguments)]
    assert "Usage:" in subprocess.run(program, capture_output=True, text=True, check=True).stdout


def test_loading_torch_is_said_once_and_left_to_others(capsys, monkeypatch):
    notice = TorchNotice()
    monkeypatch.setattr(sys, "meta_path", [notice, *sys.meta_path])
    assert notice.find_spec("json", None) is None and capsys.readouterr().err == ""
    assert notice.find_spec("torch", None) is None and capsys.readouterr().err == "loading torch ...\n"
    assert notice not in sys.meta_path


def test_the_public_names_are_listed():
    assert {"predict", "load", "build_detector", "Detector", "attach"} <= set(dir(srtod))
    assert all(getattr(srtod, name) is not None for name in srtod.__all__)
