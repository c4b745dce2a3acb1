"""Killed, interrupted, out of space: nothing is lost, and the end is the same to the bit."""

import json
import os
import random
import re
import signal

import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = ("--set", "train.save_every=1", "--set", "train.epochs=4")


@pytest.fixture(scope="module")
def arguments(training):
    return lambda output, *more: training(output, *STEPS, *more)


def lines(output):
    path = output / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def without_times(output):
    return [{**json.loads(line), "seconds": None} for line in lines(output)]


def assert_same_weights(one, other):
    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    assert all(a[name].equal(b[name]) for name in a)


@pytest.fixture(scope="module")
def undisturbed(command, arguments, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    assert command.run(*arguments(output), log=output.with_suffix(".log")) == 0
    return output


def assert_like_undisturbed(output, undisturbed):
    for name in ("last.safetensors", "best.safetensors"):
        assert_same_weights(output / name, undisturbed / name)
    assert without_times(output) == without_times(undisturbed)
    assert not list(output.glob(".*"))
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 13))


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_any_moment_it_ends_with_the_same_weights(command, arguments, tmp_path, undisturbed, seed):
    output, log, chance = tmp_path / "run", tmp_path / "log", random.Random(seed)
    kills = 0
    for _ in range(8):
        process = command.start(*arguments(output, "--resume"), log=log)
        process.join(chance.uniform(0.1, 1.0))
        if process.exitcode is None:
            process.kill()
            kills += 1
        process.join()
    assert kills
    assert command.run(*arguments(output, "--resume"), log=log) == 0, log.read_text()
    assert_like_undisturbed(output, undisturbed)


def test_killed_right_after_a_step(command, arguments, squares_folder, tmp_path, undisturbed):
    output, log = tmp_path / "run", tmp_path / "log"
    for step in (1, 2, 4, 7):
        process = command.start(*arguments(output, "--resume"), log=log)
        command.wait_until(lambda step=step: len(lines(output)) >= step)
        process.kill()
        assert command.ended(process) == -signal.SIGKILL
    assert (
        command.run("train", squares_folder, "--output", output, "--device", "cpu", "--resume", log=log) == 0
    )
    assert_like_undisturbed(output, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_saves_and_says_how_to_go_on(command, arguments, tmp_path, undisturbed, number):
    output, log = tmp_path / "run", tmp_path / "log"
    never = ("--set", "train.save_every=1000")
    process = command.start(*arguments(output, *never), log=log)
    command.wait_until(lambda: len(lines(output)) >= 2)
    assert process.pid is not None
    os.kill(process.pid, number)
    assert command.ended(process) == 130
    assert re.search(
        rf"interrupted: the state after step \d+ is saved in {output}\ngo on with --resume", log.read_text()
    )
    assert (output / "last.safetensors").exists()
    assert command.run(*arguments(output, "--resume"), log=log) == 0
    assert_like_undisturbed(output, undisturbed)


def test_what_is_frozen_is_what_it_was(command, arguments, tmp_path, undisturbed):
    """A state has all that is trained; the rest came from a file that a resumed run does not read again."""
    frozen = ("--init", undisturbed / "last.safetensors", "--set", "train.only=[head]")
    output, log = tmp_path / "run", tmp_path / "log"
    process = command.start(*arguments(output, *frozen), log=log)
    command.wait_until(lambda: len(lines(output)) >= 2)
    process.kill()
    assert command.ended(process) == -signal.SIGKILL
    assert command.run(*arguments(output, *frozen, "--resume"), log=log) == 0, log.read_text()
    ended, start = (load_file(own / "last.safetensors") for own in (output, undisturbed))
    backbone = [name for name in ended if name.startswith("pyramid.") and name.endswith("weight")]
    assert backbone
    assert all(ended[name].equal(start[name]) for name in backbone)


def test_resuming_what_has_ended_changes_nothing(command, arguments, tmp_path, undisturbed):
    before = (undisturbed / "last.safetensors").read_bytes()
    assert command.run(*arguments(undisturbed, "--resume"), log=tmp_path / "log") == 0
    assert (undisturbed / "last.safetensors").read_bytes() == before
    assert "going on after step 12" in (tmp_path / "log").read_text()


def test_a_full_disk_leaves_the_last_state_whole(command, arguments, tmp_path, undisturbed):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("Linux alone limits another process")
    output, log = tmp_path / "run", tmp_path / "log"
    process = command.start(*arguments(output), log=log)
    command.wait_until((output / "state.pt").exists)
    assert process.pid is not None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    assert command.ended(process) == 2
    assert f"error: {output}/state.pt: cannot be written: File too large" in log.read_text()
    assert not list(output.glob(".*"))
    assert command.run(*arguments(output, "--resume"), log=log) == 0
    assert_like_undisturbed(output, undisturbed)
