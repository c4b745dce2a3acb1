"""What the command line does before a verb does its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import srtod
from srtod.cli import main as command_line
from srtod.cli.main import TorchNotice, main
from srtod.support.errors import InputError

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a working directory that is in use")
def test_a_working_directory_that_is_gone_is_told_in_one_line(tmp_path):
    program = "import os, sys; os.rmdir(os.getcwd()); sys.argv = ['srtod', 'predict', 'x.png']; "
    program += "from srtod.cli.main import main; main()"
    (gone := tmp_path / "gone").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=gone, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: the working directory is gone; change to one that is there\n",
    )


@pytest.mark.parametrize(("set_by_user", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_leave_the_cores_unless_the_user_says_otherwise(set_by_user, then, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # restored at the end, whatever is set now
    monkeypatch.delenv("OMP_WAIT_POLICY")
    if set_by_user:
        monkeypatch.setenv("OMP_WAIT_POLICY", set_by_user)
    monkeypatch.setattr(sys, "argv", ["srtod", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OMP_WAIT_POLICY"] == then


def test_the_public_names_are_listed():
    assert {"predict", "load", "build_detector", "Detector", "attach"} <= set(dir(srtod))
    assert all(getattr(srtod, name) is not None for name in srtod.__all__)


@pytest.fixture
def fails(monkeypatch, capsys):
    """Runs the command line where every verb fails; gives exit code and what is said on standard error."""

    def run(error):
        def app():
            raise error

        monkeypatch.setattr(command_line, "app", app)
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, capsys.readouterr().err

    return run


def test_an_error_that_nobody_foresaw_is_one_line_and_a_file_with_its_trace(fails):
    code, errors = fails(RuntimeError("\x1b[31mwrong\nmore"))
    assert code == 1
    (line,) = errors.splitlines()
    assert line.startswith(
        r"error: unforeseen: RuntimeError: \x1b[31mwrong; please report it, with the trace in "
    )
    kept = Path(line.rpartition(" ")[2])
    assert "Traceback" in kept.read_text() and "raise error" in kept.read_text()
    kept.unlink()


def test_one_of_the_system_says_what_it_is_about(fails):
    assert fails(OSError(36, "File name too long", "a" * 300)) == (
        2,
        f"error: {'a' * 80}...: too long for a name\n",
    )
    code, errors = fails(OSError(5, "Input/output error", "disk"))
    assert code == 1 and len(errors.splitlines()) == 1 and "Input/output error: 'disk'" in errors


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    ],
)
def test_a_lack_of_memory_is_told_with_what_to_change(fails, error):
    code, errors = fails(error)
    assert code == 1 and errors.startswith("error: out of memory: ") and "--batch-size" in errors


def test_the_trace_of_an_unforeseen_error_is_shown_on_request(fails, monkeypatch):
    monkeypatch.setenv("SRTOD_DEBUG", "1")
    with pytest.raises(RuntimeError, match="wrong"):
        fails(RuntimeError("wrong"))


def test_control_characters_of_names_do_not_reach_the_terminal(fails):
    assert fails(InputError("a\x1b]0;owned\x07\n.png: no image")) == (
        2,
        "error: a\\x1b]0;owned\\x07\\n.png: no image\n",
    )
