"""A training on every device: precisions, and going on after an interruption."""

import math

import pytest
import torch
from safetensors.torch import load_file

import srtod
from srtod.engine import fit as fit_module
from srtod.engine.fit import fit

HALF = pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bf16"),
        pytest.param("cuda", "bf16", marks=pytest.mark.gpu),
        pytest.param("cuda", "fp16", marks=pytest.mark.gpu),
    ],
    indirect=["device"],
)


@HALF
def test_half_precision_trains_and_leaves_float32(
    device, precision, tiny_recipe, squares, held_out, tmp_path
):
    recipe = tiny_recipe("train.epochs=1", f"train.precision={precision}")
    result = fit(recipe, squares, held_out, tmp_path / "run", device=device.type, quiet=True)
    assert result.steps == 3
    assert all(math.isfinite(score) for score in (result.scores or {"none": math.nan}).values())
    trained = srtod.load(result.last).state_dict().values()
    assert all(value.isfinite().all() for value in trained)
    assert torch.float32 in {value.dtype for value in trained}


def test_a_training_that_goes_on_ends_with_the_same_weights(
    device, tiny_recipe, squares, tmp_path, monkeypatch
):
    recipe = tiny_recipe("train.save_every=1", "train.deterministic=true")
    options = {"device": device.type, "quiet": True}
    whole = fit(recipe, squares, None, tmp_path / "whole", **options)
    step, done = fit_module.Steps.step, []

    def interrupted(*arguments):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(step(*arguments))

    with monkeypatch.context() as patched:
        patched.setattr(fit_module.Steps, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, squares, None, tmp_path / "run", **options)
    again = fit(recipe, squares, None, tmp_path / "run", resume=True, **options)
    one, other = load_file(whole.last), load_file(again.last)
    tolerance = 0 if device.type == "cpu" else 1e-4
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_have_the_losses_of_one(command, training, tmp_path):
    assert command.run(*training(tmp_path / "one", "--device", "cuda"), log=tmp_path / "log") == 0
    words = training(tmp_path / "two", "--device", "cuda")
    assert command.run_together(*words, processes=2, log=tmp_path / "log") == [0, 0]
    one, two = (load_file(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-2, atol=1e-4)
