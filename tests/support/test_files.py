import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from srtod.support.claims import _sweep, claimed, remove_scratch, scratch_path
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import (
    atomic_file,
    atomic_folder,
    growing_folder,
    next_free,
    read_json,
    require_free,
    require_writable,
    write_json,
    write_text,
)


def names(folder):
    return [inside.name for inside in folder.iterdir()]


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "weights.bin"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_file(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["weights.bin"]


def test_whoever_may_read_a_new_file_may_read_one_that_the_writer_replaced(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_file(tmp_path / "weights.bin") as scratch:
        scratch.unlink()
        scratch.touch(mode=0o600)
    assert (tmp_path / "weights.bin").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_full_disk_is_told_in_one_line(tmp_path):
    def write():
        with atomic_file(tmp_path / "x.json"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"x\.json: cannot be written: No space left on device; free space"):
        write()
    assert names(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "inside.txt", "text")


def test_a_folder_is_no_place_for_a_files_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path, "", "."):
        with pytest.raises(InputError, match=r": is a folder; name a file"):
            write_text(path, "text")
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux's file system of processes")
@pytest.mark.parametrize("act", [lambda path: write_text(path, "text"), require_writable])
def test_a_place_that_takes_no_files_is_told(act):
    with pytest.raises(
        InputError, match=r"^/proc/x: cannot be written: /proc takes no files; choose another output$"
    ):
        act(Path("/proc/x"))


@pytest.mark.parametrize(
    ("inside", "message"),
    [("file/x.json", "Not a directory"), ("file/y/x.json", "Not a dir"), ("", "is a folder")],
)
def test_what_cannot_be_written_is_told_beforehand(inside, message, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        require_writable(tmp_path / inside)


@pytest.mark.parametrize("inside", ["x.json", "file", "new/folder/x.json"])
def test_asking_whether_a_file_can_be_written_leaves_all_as_it_is(inside, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")
    monkeypatch.chdir(tmp_path)
    require_writable(tmp_path / inside)
    require_writable(Path(inside))
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_no_result_takes_the_place_of_a_file_unasked_and_of_an_input_never(tmp_path):
    file, folder = tmp_path / "a.json", tmp_path / "set"
    require_free(file)
    file.write_text("mine")
    with pytest.raises(
        InputError, match=r"a\.json: exists; choose another name, or replace it with --overwrite"
    ):
        require_free(file)
    require_free(file, overwrite=True, inputs=(None, "drones", folder))
    folder.mkdir()
    (folder / "train.json").write_text("truth")
    (tmp_path / "link.json").symlink_to(file)
    for path, given in ((file, file), (folder / "train.json", folder), (tmp_path / "link.json", file)):
        with pytest.raises(InputError, match="is an input or lies in one, which is never overwritten"):
            require_free(path, overwrite=True, inputs=(given,))


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "other") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert names(tmp_path) == ["out"]
    with pytest.raises(InputError, match="not an empty folder"), atomic_folder(tmp_path / "out"):
        pass


def test_a_link_to_an_empty_folder_leads_to_the_result(tmp_path):
    (tmp_path / "elsewhere" / "empty").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere" / "empty")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert folder.parent == tmp_path / "elsewhere"
    assert (tmp_path / "elsewhere" / "empty" / "a").read_text() == "1"
    assert (tmp_path / "out").is_symlink() and names(tmp_path / "elsewhere") == ["empty"]


def test_an_empty_folder_is_replaced_where_the_system_replaces_none(tmp_path, monkeypatch):
    def replace(source, target, _replace=Path.replace):
        if target.exists():  # as Windows does
            raise PermissionError(13, "Access is denied")
        return _replace(source, target)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "replace", replace)
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_files_and_folders_have_usual_permissions_and_nobody_elses_change_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the whole process writes with another mask"))
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain.txt").touch()
    write_text(tmp_path / "file.txt", "text")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "file.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_mount_point_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path / "disk")
    with (
        pytest.raises(InputError, match=r"disk: is a mount point, .*; name a new folder in it"),
        atomic_folder(tmp_path / "out"),
    ):
        pytest.fail("begun")
    assert names(tmp_path / "disk") == []


def test_json_is_strict_both_ways(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"é": 1})
    assert read_json(path) == {"é": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == {"é": 1}
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(path) == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"{", "line 1, column 2"),
        (b"\xff\xfe", "UTF-8"),
        (b"", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 5001, "too many digits"),
    ],
)
def test_json_that_cannot_be_read_names_its_file(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_json(path)
    assert str(path) in str(error.value)


def test_near_words_are_suggested_and_far_ones_not():
    assert did_you_mean("epoch", ["epochs", "lr"]) == " (did you mean 'epochs'?)"
    assert did_you_mean("Faster-RCNN", ["cascade-rcnn", "faster-rcnn"]) == " (did you mean 'faster-rcnn'?)"
    assert did_you_mean("zebra", ["epochs", "lr"]) == ""


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    path, order = tmp_path / "x.json", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append(path.exists()), fsync(handle)))
    write_json(path, 1)
    assert order == [False]
    assert path.exists()


def test_what_a_kill_left_half_written_is_removed_and_nothing_else(tmp_path):
    kept = [tmp_path / name for name in ("a.png", ".hidden.png", ".a.b.png", "sub/a.12345678.png")]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    writing = atomic_file(tmp_path / "sub" / "b.png")
    writing.__enter__()  # and never ended
    remove_scratch(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_the_next_free_name_is_found_and_the_last_one_taken(tmp_path):
    path = tmp_path / "found"
    assert next_free(path) == next_free(path, taken=True) == path
    for expected in ("found-2", "found-3"):
        next_free(path).mkdir()
        assert next_free(path).name == expected
    assert next_free(path, taken=True).name == "found-2"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_written_through_and_never_replaced(tmp_path):
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    require_free(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_json(path, [1])
    assert os.read(reading, 100) == b"[1]\n"
    os.close(reading)
    assert path.is_fifo()
    assert names(tmp_path) == ["pipe.json"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux's file system of processes")
def test_an_open_file_is_written_on(tmp_path):
    with (tmp_path / "shell.txt").open("wb", buffering=0) as file:
        file.write(b"before\n")
        write_text(Path(f"/proc/self/fd/{file.fileno()}"), "text")
        assert os.fstat(file.fileno()).st_nlink == 1
    assert (tmp_path / "shell.txt").read_text() == "before\ntext"


@pytest.mark.skipif(os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="only root makes devices")
def test_devices_stay_devices(tmp_path):
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        (tmp_path / "null").write_bytes(b"")
    except OSError:
        pytest.skip("no devices here")
    write_text(tmp_path / "null", "text")
    assert (tmp_path / "null").is_char_device()


@pytest.mark.parametrize("there", [False, True])
def test_what_a_link_leads_to_is_written_not_the_link(there, tmp_path):
    target, link = tmp_path / "inside" / "target.json", tmp_path / "link.json"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(target.parent) == ["target.json"]


@pytest.mark.skipif(os.name == "nt", reason="outputs are not locked there")
@pytest.mark.parametrize("make", [atomic_folder, growing_folder, claimed])
def test_an_output_belongs_to_one_process_until_it_ends(make, tmp_path):
    code = "import sys, time; from pathlib import Path; from srtod.support.files import *\n"
    code += f"from srtod.support.claims import claimed\nwith {make.__name__}(Path(sys.argv[1])):\n"
    code += "    print(flush=True)\n    time.sleep(60)"
    output = tmp_path / "found"
    other = subprocess.Popen([sys.executable, "-c", code, output], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(InputError, match=r"found: another process is writing there"), make(output):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    scratch = [name for name in names(tmp_path) if name.startswith(".found.") and not name.endswith(".lock")]
    assert len(scratch) == (make is atomic_folder)
    _sweep.cache_clear()
    with make(output):
        assert not set(scratch) & set(names(tmp_path))
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


def test_scratch_of_processes_that_run_or_of_other_machines_stays(tmp_path):
    own, other = scratch_path(tmp_path / "a.json"), tmp_path / ".b.1-1-1-01234567.json"
    own.touch()
    other.touch()
    _sweep.cache_clear()
    write_text(tmp_path / "a.json", "text")
    assert sorted(tmp_path.iterdir()) == sorted([own, other, tmp_path / "a.json"])
