import json

import pytest

from srtod.inference.jobs.log import JobLog, Lines, digest, job_folder, whole_lines
from srtod.support.errors import InputError


def test_what_a_kill_left_of_a_last_line_is_cut_off(tmp_path):
    path = tmp_path / "log" / "done.jsonl"
    lines = Lines(path)
    for number in range(3):
        lines.add({"key": number, "text": "é" * 40_000 * number})
    lines.close()
    whole = path.stat().st_size
    with path.open("ab") as stream:
        stream.write(b'{"key": 3, "text": "' + b"x" * 200_000)
    assert sum(map(len, whole_lines(path))) == whole
    log = JobLog(tmp_path, None)
    log.read()
    assert log.missing(range(4), skip_bad=False) == [3] and log.done == 3
    log.add({"key": 3})
    log.close()
    assert [line["key"] for line in log.lines([3, 2, 1, 0])] == [3, 2, 1, 0]
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]


def test_pieces_that_failed_are_tried_again_unless_they_are_left_out(tmp_path):
    log = JobLog(tmp_path, None)
    log.add({"key": 1, "detections": []})
    log.add({"key": 2, "error": "b.png: the network is down"})
    log.close()
    assert log.missing([1, 2, 3], skip_bad=False) == [2, 3] and log.missing([1, 2, 3], skip_bad=True) == [3]
    log.add({"key": 2, "detections": ["found"]})
    log.close()
    assert log.missing([1, 2], skip_bad=False) == [] and log.done == 2
    assert [line.get("detections") for line in log.lines([1, 2])] == [[], ["found"]]


def test_a_folder_is_gone_on_with_for_the_same_alone(tmp_path):
    out = tmp_path / "out"
    with job_folder(
        out, {"images": "a", "weights": "w"}, resume=True
    ) as log:  # nothing to go on with: begins
        log.add({"key": 1})
    with pytest.raises(InputError, match=r"out: holds a job; .*--resume"), job_folder(out, {}, resume=False):
        pass
    other = {"images": "a", "weights": "x"}
    with pytest.raises(InputError, match="begun with other weights"), job_folder(out, other, resume=True):
        pass
    with job_folder(out, {"images": "a", "weights": "w"}, resume=True) as log:
        assert log.done == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").touch()
    mine = tmp_path / "mine"
    with pytest.raises(InputError, match=r"not empty, and no job\.json"), job_folder(mine, {}, resume=True):
        pass


def test_a_job_of_which_nothing_was_finished_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), job_folder(tmp_path / "out", {}, resume=False) as log:
        log.add({"key": 1, "error": "a.png: no image"})
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_the_weights_beside_an_openvino_file_tell_it_from_others(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("operators")
    found = []
    for weights in ("first", "second"):
        path.with_suffix(".bin").write_text(weights)
        found.append(digest(path))
    assert found[0] != found[1]
