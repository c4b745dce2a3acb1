import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srtod.support import claims
from srtod.support.claims import _sweep, claimed, scratch_path
from srtod.support.files import write_text

linux = pytest.mark.skipif(sys.platform != "linux", reason="what Linux tells of processes")
locks = pytest.mark.skipif(os.name == "nt", reason="outputs are not locked there")


@pytest.fixture
def left(tmp_path):
    """What a process of this machine left that is gone."""
    code = "import sys; from srtod.support.claims import *; scratch_path(Path(sys.argv[1])).touch()"
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.json"], check=True)
    return next(tmp_path.iterdir())


def sweep(folder):
    _sweep.cache_clear()
    scratch_path(folder / "b.json")


def test_what_a_process_left_that_is_gone_is_removed(left, tmp_path):
    sweep(tmp_path)
    assert not left.exists()


def test_asking_whether_a_file_can_be_written_leaves_what_the_next_one_removes(tmp_path):
    killed = "import os, sys; from srtod.support.files import *; os.unlink = lambda *_, **__: os._exit(9)"
    code = f"{killed}; require_writable(Path(sys.argv[1]))"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "a.json"], check=False)
    assert run.returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


@linux
@pytest.mark.parametrize("other", ["pid:[1]", None])
def test_scratch_of_another_container_of_the_same_name_stays(other, left, tmp_path, monkeypatch):
    def readlink(_):
        if other is None:
            raise FileNotFoundError
        return Path(other)

    monkeypatch.setattr(Path, "readlink", readlink)
    sweep(tmp_path)
    assert left.exists()


@linux
def test_scratch_of_a_process_that_proc_hides_stays(left, tmp_path, monkeypatch):
    def kill(_process, _number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    sweep(tmp_path)
    assert left.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner there")
def test_scratch_of_another_user_stays(left, tmp_path, monkeypatch):
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    sweep(tmp_path)
    assert left.exists()


def test_a_process_that_does_not_tell_its_start_runs(left, tmp_path, monkeypatch):
    import psutil

    def refused(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil, "Process", refused)
    sweep(tmp_path)
    assert left.exists()


@pytest.mark.parametrize("name", ["目" * 80 + ".json", "a." + "b" * 240, "x" * 250])
def test_the_longest_names_can_be_written(name, tmp_path):
    with claimed(tmp_path / name):
        write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@locks
def test_outputs_that_begin_alike_do_not_block_each_other(tmp_path):
    with claimed(tmp_path / ("a" * 100 + "1")), claimed(tmp_path / ("a" * 100 + "2")):
        assert len(list(tmp_path.iterdir())) == 2


@locks
def test_another_user_locks_the_same_file(tmp_path, monkeypatch):
    with claimed(tmp_path / "a"):
        lock = next(tmp_path.iterdir())
    lock.touch()
    own = os.open

    def refused(path, flags, *mode):
        if Path(path) == lock and flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return own(path, flags, *mode)

    monkeypatch.setattr(os, "open", refused)
    first, second = claimed(tmp_path / "a"), claimed(tmp_path / "a")
    with first, pytest.raises(claims.InputError, match="another process"), second:
        pass


@locks
def test_a_file_system_without_locks_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(claims.fcntl, "flock", refused)
    with pytest.warns(UserWarning, match="cannot be locked there"), claimed(tmp_path / "a"):
        assert list(tmp_path.iterdir()) == []
