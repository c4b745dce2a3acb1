"""Two processes, really launched, against one."""

import json
import re
import shutil

import pytest
from safetensors.torch import load_file


def logged(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("system", "maps"), [("faster-rcnn", "true"), ("cascade-rcnn", "{head: lite}"), ("atss", "{head: lite}")]
)
def test_two_processes_have_the_losses_of_one(command, training, tmp_path, system, maps):
    more = ("--set", f"model.system={system}", "--set", f"model.self_reconstruction={maps}")
    assert command.run(*training(tmp_path / "one", *more), log=tmp_path / "log") == 0
    codes = command.run_together(*training(tmp_path / "two", *more), processes=2, log=tmp_path / "log")
    assert codes == [0, 0], (tmp_path / "log.0").read_text()
    one, two = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert [(line["kind"], line["step"]) for line in one] == [(line["kind"], line["step"]) for line in two]
    for line, other in zip(one, two, strict=True):
        for name in line.keys() - {"kind", "seconds"}:
            assert line[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name
    a, b = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name in a:
        assert a[name].allclose(b[name], rtol=1e-3, atol=1e-5), name


def test_accumulated_passes_count_as_one_step(command, training, tmp_path):
    more = ("--set", "train.accumulation=2")
    assert command.run(*training(tmp_path / "one", *more), log=tmp_path / "log") == 0
    assert {line["step"] for line in logged(tmp_path / "one")} == {1, 2, 3, 4, 5, 6}


def test_an_error_of_the_first_process_ends_both_and_is_told_once(command, training, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").touch()
    codes = command.run_together(*training(tmp_path / "out"), processes=2, log=tmp_path / "log")
    assert codes == [2, 2]
    assert "not empty; go on with --resume" in (tmp_path / "log.0").read_text()
    assert "error" not in (tmp_path / "log.1").read_text()


def test_an_image_that_one_process_cannot_read_ends_both_and_is_told_once(
    command, training, squares_folder, tmp_path
):
    folder, output = tmp_path / "squares", tmp_path / "out"
    shutil.copytree(squares_folder, folder)
    words = [folder if word == squares_folder else word for word in training(output)]
    started = command.start_together([[*words, "--set", "train.epochs=500"]] * 2, log=tmp_path / "log")
    command.wait_until(lambda: (output / "metrics.jsonl").exists() and logged(output))
    (folder / "images" / "train3.png").write_bytes(b"no image")  # sound when training began
    assert [command.ended(process) for process in started] == [2, 2]
    told = (tmp_path / "log.0").read_text()
    assert re.search(r"^error: .*train3\.png: not an image", told, re.MULTILINE)
    assert "error" not in (tmp_path / "log.1").read_text()


def test_machines_that_do_not_share_the_output_folder_are_told(command, training, tmp_path):
    assert command.run(*training(tmp_path / "out"), log=tmp_path / "log") == 0
    words = [training(tmp_path / name, "--resume") for name in ("out", "elsewhere")]
    started = command.start_together(words, log=tmp_path / "log")
    assert [command.ended(process) for process in started] == [2, 2]
    assert "state.pt is not the same for all processes" in (tmp_path / "log.0").read_text()


def test_the_images_are_looked_at_by_one_process_each(command, training, tmp_path, squares_folder):
    folder = tmp_path / "squares"
    shutil.copytree(squares_folder, folder)
    for name in ("train2.png", "train3.png"):
        (folder / "images" / name).write_bytes(b"no image")
    words = [folder if word == squares_folder else word for word in training(tmp_path / "out")]
    codes = command.run_together(*words, "--skip-bad", processes=2, log=tmp_path / "log")
    assert codes == [0, 0]
    told = (tmp_path / "log.0").read_text()
    assert told.count("left out: ") == 1
    assert "(and 1 more like this)" in told
    assert "4 images" in told


def test_a_batch_that_cannot_be_split_is_told(command, training, tmp_path):
    more = ("--set", "train.batch_size=3")
    codes = command.run_together(*training(tmp_path / "out", *more), processes=2, log=tmp_path / "log")
    assert codes == [2, 2]
    assert "train.batch_size 3 cannot be split over 2 processes" in (tmp_path / "log.0").read_text()


def test_data_that_one_process_does_not_have_end_both_and_are_told_once(
    command, training, squares_folder, tmp_path
):
    words = training(tmp_path / "out")
    elsewhere = [tmp_path / "missing" if word == squares_folder else word for word in words]
    started = command.start_together([words, elsewhere], log=tmp_path / "log")
    assert [command.ended(process) for process in started] == [2, 2]
    assert re.search(r"^error: .*missing", (tmp_path / "log.0").read_text(), re.MULTILINE)
    assert "error" not in (tmp_path / "log.1").read_text()
