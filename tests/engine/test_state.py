import errno
import os
import pickle
from pathlib import Path

import pytest
import torch

from srtod.engine.state import check_output, clear_output, load_state, seed_step, write_recipe
from srtod.recipes import load_recipe
from srtod.support.errors import InputError


def test_a_new_folder_gets_the_whole_recipe(tiny_recipe, tmp_path):
    prepare_output(tmp_path / "run", tiny_recipe("train.epochs=7"), resume=False)
    assert load_recipe(tmp_path / "run" / "config.yaml") == tiny_recipe("train.epochs=7")


def test_a_folder_that_is_not_empty_is_refused(tiny_recipe, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="not empty; go on with --resume, or choose another"):
        prepare_output(tmp_path, tiny_recipe(), resume=False)
    with pytest.raises(InputError, match=r"not the folder of a training run \(no config.yaml\)"):
        prepare_output(tmp_path, tiny_recipe(), resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def unbegun(folder, step=0):
    """What a run leaves that ended before its first step, or after some."""
    (folder / "tensorboard").mkdir(parents=True)
    torch.save({"step": step, "data": {}, "format": 2}, folder / "state.pt")
    for name in ("config.yaml", "metrics.jsonl"):
        (folder / name).write_text("{}")
    return folder


def test_a_run_that_ended_before_its_first_step_blocks_no_other(tiny_recipe, tmp_path):
    folder = unbegun(tmp_path / "run")
    check_output(folder, tiny_recipe(), resume=False)
    clear_output(folder)
    assert not any(folder.iterdir())


@pytest.mark.parametrize("name", ["config.yaml", ".config.0123abcd.yaml", ".state.0123abcd.pt"])
def test_a_run_that_was_killed_before_its_first_state_blocks_no_other(tiny_recipe, tmp_path, name):
    write_recipe(tmp_path / "run", tiny_recipe("train.lr=0.02"))
    if name.startswith(".config"):
        (tmp_path / "run" / "config.yaml").rename(tmp_path / "run" / name)
    (tmp_path / "run" / name).touch()
    check_output(tmp_path / "run", tiny_recipe(), resume=False)
    clear_output(tmp_path / "run")
    assert not any((tmp_path / "run").iterdir())


def test_a_recipe_of_the_users_own_is_not_taken_for_a_run(tiny_recipe, tmp_path):
    (tmp_path / "config.yaml").write_text("base: small\n")
    with pytest.raises(InputError, match="not empty"):
        check_output(tmp_path, tiny_recipe(), resume=False)
    clear_output(tmp_path)
    assert (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("step", [0, 3])
def test_nothing_else_is_cleared(tiny_recipe, tmp_path, step):
    folder = unbegun(tmp_path / "run", step)
    if step == 0:
        (folder / "notes.txt").write_text("mine")
    before = sorted(folder.iterdir())
    clear_output(folder)
    assert sorted(folder.iterdir()) == before
    with pytest.raises(InputError, match="not empty"):
        check_output(folder, tiny_recipe(), resume=False)


def test_a_folder_that_is_not_to_be_changed_is_refused_in_one_line(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("touch", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    (tmp_path / "run").mkdir()
    with pytest.raises(
        InputError, match=r"config.yaml: cannot be written: Read-only file system; choose ano"
    ):
        clear_output(tmp_path / "run")


@pytest.mark.parametrize("below", ["file", "file/run"])
def test_a_place_that_cannot_be_a_folder_is_refused(tiny_recipe, tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"not empty|cannot be written"):
        prepare_output(tmp_path / below, tiny_recipe(), resume=False)


def test_resuming_nothing_starts_from_the_beginning(tiny_recipe, tmp_path):
    prepare_output(tmp_path / "run", tiny_recipe(), resume=True)
    assert load_state(tmp_path / "run", {}) is None


def test_another_recipe_is_refused_by_its_first_differing_key(tiny_recipe, tmp_path):
    prepare_output(tmp_path, tiny_recipe(), resume=False)
    with pytest.raises(InputError, match=r"started with train.lr=0.01, now it is 0.02; resume with the same"):
        prepare_output(tmp_path, tiny_recipe("train.lr=0.02", "train.workers=3"), resume=True)
    prepare_output(tmp_path, tiny_recipe("train.workers=3"), resume=True)


def test_what_a_killed_process_was_writing_goes(tiny_recipe, tmp_path):
    prepare_output(tmp_path, tiny_recipe(), resume=False)
    for name in (
        ".state.0123abc1.pt",
        ".last.0123abc2.safetensors",
        ".best.0123abc3",
        ".config.0123abc4.yaml",
        ".mine",
    ):
        (tmp_path / name).touch()
    prepare_output(tmp_path, tiny_recipe(), resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine", "config.yaml"]


def test_killed_before_the_recipe_was_written_it_can_be_resumed(tiny_recipe, tmp_path):
    (tmp_path / ".config.0123abc4.yaml").touch()
    prepare_output(tmp_path, tiny_recipe(), resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def prepare_output(output, recipe, *, resume):
    check_output(output, recipe, resume=resume)
    write_recipe(output, recipe)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(Bomb(), protocol=2)])
def test_a_damaged_or_foreign_state_is_refused_and_never_executed(tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"state.pt: not a saved state of a training run"):
        load_state(tmp_path, {})


def test_a_state_with_code_in_it_is_refused(tmp_path):
    torch.save({"data": Bomb()}, tmp_path / "state.pt")
    with pytest.raises(InputError, match=r"state.pt: not a saved state of a training run"):
        load_state(tmp_path, {})


def test_other_data_are_refused(tmp_path):
    torch.save({"format": 2, "data": {"images": 5, "classes": ["a"]}}, tmp_path / "state.pt")
    load_state(tmp_path, {"images": 5, "classes": ["a"]})
    with pytest.raises(
        InputError, match=r"started on data with images 5, now it is 6; resume with the same data"
    ):
        load_state(tmp_path, {"images": 6, "classes": ["a"]})


def test_random_numbers_depend_on_seed_step_and_process():
    drawn = set()
    for place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        seed_step(*place)
        drawn.add(torch.rand(()).item())
    assert len(drawn) == 4
