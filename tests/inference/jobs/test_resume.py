"""However a job ends, what was finished stays, and the same command goes on to the same results."""

import errno
import json
import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from srtod.inference import collect_images
from srtod.inference.jobs import JobOptions, predict_images
from srtod.inference.jobs.log import JobLog
from srtod.support.errors import InputError

IMAGES, BREAKS_AT = 7, 4


class Corner:
    """Finds one box whose left edge is the value of the first pixel, and remembers what it saw."""

    classes = ("thing",)
    device = torch.device("cpu")

    def __init__(self, *, at_break=None):
        self.at_break, self.seen = at_break, []

    def __call__(self, images):
        return [self._find(round(float(image[0, 0, 0]) * 255)) for image in images]

    def _find(self, value):
        if value == BREAKS_AT and self.at_break is not None:
            self.at_break()
        self.seen.append(value)
        return {
            "boxes": torch.tensor([[float(value), 0, 60, 5]]),
            "scores": torch.tensor([0.5]),
            "labels": torch.tensor([0]),
        }


def draw(folder, value):
    Image.fromarray(np.full((32, 64, 3), value, np.uint8)).save(folder / f"{value}.png")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for value in range(IMAGES):
        draw(tmp_path / "in", value)
    return tmp_path / "in"


def go(folder, out, finder=None, **options):
    finder = finder or Corner()
    done = predict_images(finder, collect_images([folder]), out, JobOptions(progress=False, **options))
    return done, finder.seen


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def interrupt():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def end_by_a_bad_image(folder, out, _):
    (folder / f"{BREAKS_AT}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"4\.png: not an image.*; 4 of 7 images are finished in .*--resume"):
        go(folder, out)
    draw(folder, BREAKS_AT)


def end_by_ctrl_c(folder, out, _):
    with pytest.raises(KeyboardInterrupt):
        go(folder, out, Corner(at_break=interrupt))


def end_by_a_full_disk(folder, out, monkeypatch):
    save = Image.Image.save

    def save_until_it_is_full(self, path, *arguments, **options):
        if f".{BREAKS_AT}." in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, path, *arguments, **options)

    with monkeypatch.context() as full:
        full.setattr(Image.Image, "save", save_until_it_is_full)
        with pytest.raises(InputError, match=r"No space left on device; free space .* are finished in"):
            go(folder, out)


def end_by_kill(folder, out, _):
    process = multiprocessing.get_context("fork").Process(
        target=go, args=(folder, out, Corner(at_break=kill))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


ENDS = [end_by_a_bad_image, end_by_ctrl_c, end_by_a_full_disk, end_by_kill]


@pytest.mark.parametrize("finished", [True, False])
def test_an_image_that_was_replaced_is_looked_at_anew(folder, tmp_path, monkeypatch, finished):
    out = tmp_path / "out"
    if finished:
        go(folder, out)
    else:
        end_by_ctrl_c(folder, out, monkeypatch)
    Image.fromarray(np.full((32, 200, 3), 50, np.uint8)).save(folder / "1.png")
    _, seen = go(folder, out, resume=True)
    assert 50 in seen
    assert finished or 0 not in seen
    found = json.loads((out / "detections.json").read_text())
    assert [row["bbox"][0] for row in found] == [0, 50, *range(2, IMAGES)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_was_finished_stays_and_resume_ends_as_if_nothing_had_happened(
    folder, tmp_path, monkeypatch, end
):
    out = tmp_path / "out"
    end(folder, out, monkeypatch)
    kept = contents(out)
    written = [name for name in kept if name.startswith("pictures/")]
    logged = [json.loads(line) for line in kept["log/done.jsonl"].splitlines()]
    assert 1 <= len(logged) <= len(written)
    if end is not end_by_kill:
        results = json.loads(kept["detections.json"])
        assert [row["image_id"] for row in results] == [line["key"] for line in logged]
    with pytest.raises(InputError, match=r"out: holds a job; .* add --resume to go on"):
        go(folder, out)
    done, seen = go(folder, out, resume=True)
    finished = {line["key"] - 1 for line in logged}
    assert seen == [value for value in range(IMAGES) if value not in finished]
    assert (done.images, done.detections, done.drawn) == (IMAGES, IMAGES, IMAGES)
    go(folder, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
    assert go(folder, out, resume=True) == (done, [])


def test_where_not_even_the_results_can_be_written_the_log_stays(folder, tmp_path, monkeypatch):
    def no_room(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr("srtod.inference.jobs.images.results_file", no_room)
        with pytest.raises(KeyboardInterrupt):
            go(folder, tmp_path / "out", Corner(at_break=interrupt))
    assert not (tmp_path / "out" / "detections.json").exists()
    done, seen = go(folder, tmp_path / "out", resume=True)
    assert done.images == IMAGES and seen == list(range(BREAKS_AT, IMAGES))


def test_a_full_disk_under_the_log_is_one_line(folder, tmp_path, monkeypatch):
    add = JobLog.add

    def add_until_it_is_full(self, line):
        if line["key"] == BREAKS_AT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(self, line)

    with monkeypatch.context() as full:
        full.setattr(JobLog, "add", add_until_it_is_full)
        with pytest.raises(InputError, match=r"out: cannot be written: No space left on device; free space"):
            go(folder, tmp_path / "out")
    done, seen = go(folder, tmp_path / "out", resume=True)
    assert done.images == IMAGES and BREAKS_AT - 1 in seen and 0 not in seen


def test_images_left_out_are_tried_again_and_others_are_not(folder, tmp_path):
    (folder / "2.png").write_bytes(b"no image")
    done, _ = go(folder, tmp_path / "out", skip_bad=True)
    assert done.images == IMAGES - 1 and len(done.skipped) == 1
    assert go(folder, tmp_path / "out", skip_bad=True, resume=True) == (done, [])
    draw(folder, 2)
    done, seen = go(folder, tmp_path / "out", resume=True)
    assert (done.images, seen) == (IMAGES, [2])


def test_only_the_same_job_is_gone_on_with(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go(folder, tmp_path / "out", Corner(at_break=interrupt))
    with pytest.raises(InputError, match=r"job\.json: begun with other picture_score"):
        go(folder, tmp_path / "out", resume=True, picture_score=0.1)
    draw(folder, IMAGES)
    with pytest.raises(InputError, match=r"job\.json: begun with other images"):
        go(folder, tmp_path / "out", resume=True)


def test_ctrl_c_before_anything_is_logged_hides_behind_no_other_error(folder, tmp_path):
    out = tmp_path / "out"
    end_by_kill(folder, out, None)
    (out / "log" / "done.jsonl").unlink()  # as if the kill had come after the first picture
    finder = Corner()
    finder._find = lambda _: interrupt()
    with pytest.raises(KeyboardInterrupt):
        go(folder, out, finder, resume=True)
    assert go(folder, out, resume=True)[0].images == IMAGES
