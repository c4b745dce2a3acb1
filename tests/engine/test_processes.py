"""Two processes, really launched, against one."""

import json

import pytest
from safetensors.torch import load_file


def logged(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("system", ["faster-rcnn", "cascade-rcnn", "atss"])
def test_two_processes_have_the_losses_of_one(command, training, tmp_path, system):
    more = ("--set", f"model.system={system}")
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


def test_a_batch_that_cannot_be_split_is_told(command, training, tmp_path):
    more = ("--set", "train.batch_size=3")
    codes = command.run_together(*training(tmp_path / "out", *more), processes=2, log=tmp_path / "log")
    assert codes == [2, 2]
    assert "train.batch_size 3 cannot be split over 2 processes" in (tmp_path / "log.0").read_text()
