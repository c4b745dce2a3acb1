import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import srtod
from srtod.engine import fit as fit_module
from srtod.engine import setup as run_setup
from srtod.engine.fit import fit
from srtod.engine.schedule import build_optimizer
from srtod.engine.setup import new_detector
from srtod.engine.step import NotFiniteError, Steps
from srtod.recipes import load_recipe
from srtod.support.errors import InputError

ONE = ("train.epochs=1",)


@pytest.fixture
def train(tiny_recipe, monkeypatch):
    def run(annotated, output, *changes, val=None, build=new_detector, **options):
        monkeypatch.setattr(fit_module, "new_detector", build)
        return fit(tiny_recipe(*changes), annotated, val, output, device="cpu", quiet=True, **options)

    return run


def logged(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def weights(output):
    return load_file(output / "last.safetensors")


def same(a, b):
    return all(a[name].equal(b[name]) for name in a)


def test_a_run_leaves_everything_behind(train, tiny_recipe, squares, held_out, tmp_path):
    result = train(squares, tmp_path / "run", val=held_out)
    assert result.last == tmp_path / "run" / "last.safetensors"
    assert result.best == tmp_path / "run" / "best.safetensors"
    assert result.steps == 6
    assert result.scores["AP50"] >= 0
    assert srtod.load(result.last).classes == ("square",)
    assert load_recipe(tmp_path / "run" / "config.yaml") == tiny_recipe()
    kinds = [(line["kind"], line["step"], line["epoch"]) for line in logged(tmp_path / "run")]
    assert kinds == [
        ("train", 1, 1), ("train", 2, 1), ("train", 3, 1), ("evaluation", 3, 1),
        ("train", 4, 2), ("train", 5, 2), ("train", 6, 2), ("evaluation", 6, 2),
    ]  # fmt: skip
    first = logged(tmp_path / "run")[0]
    parts = [value for name, value in first.items() if name.startswith("loss_")]
    assert first["loss"] == pytest.approx(sum(parts), rel=1e-4)
    assert "loss_reconstruction" in first


def test_tensorboard_has_the_same_numbers(train, squares, held_out, tmp_path):
    train(squares, tmp_path / "run", *ONE, val=held_out)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    lines = logged(tmp_path / "run")
    assert losses == pytest.approx([line["loss"] for line in lines if line["kind"] == "train"], rel=1e-5)
    assert "evaluation/AP50" in events.Tags()["scalars"]


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(train, squares, tmp_path):
    train(squares, tmp_path / "a", *ONE)
    train(squares, tmp_path / "b", *ONE, "train.workers=2")
    train(squares, tmp_path / "c", *ONE, "train.seed=1")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_it_learns(train, squares, tmp_path):
    train(squares, tmp_path / "run", "train.epochs=12", "train.lr=0.02", "train.ema=null")
    losses = [line["loss"] for line in logged(tmp_path / "run")]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


def test_without_a_validation_set_there_are_no_best_weights(tiny_recipe, squares, tmp_path, capsys):
    result = fit(tiny_recipe(*ONE), squares, None, tmp_path / "run", device="cpu")
    assert result.best is None
    assert result.scores is None
    assert "validation: none (no images in val, test or --val-data)" in capsys.readouterr().err


def test_regions_to_ignore_are_not_told_as_boxes(tiny_recipe, squares, tmp_path, capsys):
    ignoring = replace(squares.records[1], ignore=np.array([True, False, True]))
    mixed = replace(squares, records=(ignoring, *squares.records[2:]))
    fit(tiny_recipe(*ONE), mixed, None, tmp_path / "run", device="cpu")
    said = " ".join(capsys.readouterr().err.split())
    assert "training: 5 images with 13 boxes of square and 2 regions to ignore; 1 epochs of 3 steps" in said


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3]), (2, [2, 3]), (0, [])])
def test_evaluation_every_n_epochs_and_at_the_end(train, squares, held_out, tmp_path, every, epochs):
    train(squares, tmp_path / "run", "train.epochs=3", f"train.evaluate_every={every}", val=held_out)
    assert [line["epoch"] for line in logged(tmp_path / "run") if line["kind"] == "evaluation"] == epochs


def test_the_best_weights_are_those_of_the_best_epoch(train, squares, held_out, tmp_path, monkeypatch):
    scores, saved = iter([0.2, 0.5, 0.4, -1.0]), []
    monkeypatch.setattr(fit_module, "_validate", lambda *_, **__: {"AP": next(scores)})
    save = fit_module.save_weights
    monkeypatch.setattr(
        fit_module, "save_weights", lambda run, name: (saved.append((name, run.step)), save(run, name))
    )
    train(squares, tmp_path / "run", "train.epochs=4", val=held_out)
    assert [step for name, step in saved if name == "best.safetensors"] == [3, 6]
    assert [step for name, step in saved if name == "last.safetensors"] == [3, 6, 9, 12]


def test_training_stops_early_where_nothing_gets_better_and_stays_stopped(
    train, squares, held_out, tmp_path, monkeypatch
):
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])
    monkeypatch.setattr(fit_module, "_validate", lambda *_, **__: {"AP": next(scores)})
    changes = ("train.epochs=6", "train.patience=2")
    assert train(squares, tmp_path / "run", *changes, val=held_out).steps == 12
    assert train(squares, tmp_path / "run", *changes, val=held_out, resume=True).steps == 12
    assert next(scores) == 0.9


def test_patience_counts_evaluations(train, squares, held_out, tmp_path, monkeypatch):
    scores = iter([0.5, 0.2, 0.4, 0.9])
    monkeypatch.setattr(fit_module, "_validate", lambda *_, **__: {"AP": next(scores)})
    changes = ("train.epochs=9", "train.patience=2", "train.evaluate_every=2")
    assert train(squares, tmp_path / "run", *changes, val=held_out).steps == 3 * 6
    assert next(scores) == 0.9


def test_a_metric_that_cannot_be_measured_is_refused_before_the_training(train, squares, held_out, tmp_path):
    for metric, val in (("APvt", held_out), ("AP", replace(held_out, records=held_out.records[:1]))):
        with pytest.raises(InputError, match=rf"^train.best_by: no object of .* counts in {metric}, [^\n]*$"):
            train(squares, tmp_path / "run", f"train.best_by={metric}", val=val)
        assert not (tmp_path / "run").exists()
        train(squares, tmp_path / metric, f"train.best_by={metric}", "train.evaluate_every=0", *ONE, val=val)


def test_slices_are_learned_from(train, squares, tmp_path):
    sliced = train(squares, tmp_path / "run", *ONE, "data.crop=null", "data.slice=48", "data.empty_slices=1")
    assert sliced.steps == 6 * 4 // 2
    assert train(squares, tmp_path / "without", *ONE, "data.crop=null", "data.slice=48").steps < 12


def test_images_without_boxes_are_trained_on_or_left_out(train, squares, tmp_path):
    assert train(squares, tmp_path / "with", *ONE).steps == 3
    assert (
        train(
            squares, tmp_path / "without", *ONE, "data.images_without_boxes=false", "train.batch_size=1"
        ).steps
        == 5
    )


def test_a_batch_without_any_box_is_trained_on(train, squares, tmp_path):
    train(squares, tmp_path / "run", *ONE, "train.batch_size=1")
    assert all(math.isfinite(line["loss"]) for line in logged(tmp_path / "run"))


def test_nothing_marked_at_all_is_refused(train, squares, tmp_path):
    bare = replace(squares, records=squares.records[:1])
    with pytest.raises(InputError, match="no image has a box, so there is nothing to learn"):
        train(bare, tmp_path / "run")


def test_bf16_and_accumulation_train(train, squares, tmp_path):
    train(
        squares, tmp_path / "run", *ONE, "train.precision=bf16", "train.accumulation=2", "train.batch_size=4"
    )
    assert [line["step"] for line in logged(tmp_path / "run")] == [1, 2]
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(tmp_path / "run").values())


@pytest.mark.parametrize(
    ("changes", "device", "says"),
    [
        (("train.precision=fp16",), "cpu", "precision fp16 needs a GPU; on a CPU take bf16 or fp32"),
        ((), "tpu", "device 'tpu': not one of auto, cpu, cuda$"),
    ],
)
def test_impossible_devices_are_refused(tiny_recipe, squares, tmp_path, changes, device, says):
    with pytest.raises(InputError, match=says):
        fit(tiny_recipe(*changes), squares, None, tmp_path / "run", device=device, quiet=True)


class Spoiled(torch.nn.Module):
    """A detector whose loss is not a number for one image."""

    parameters_apart = ()

    def __init__(self, detector, image_id):
        super().__init__()
        self.detector, self.image_id = detector, image_id

    def forward(self, images, targets):
        losses = self.detector(images, targets)
        if any(target["image_id"] == self.image_id for target in targets):
            losses["loss_class"] = losses["loss_class"] * math.nan
        return losses

    def save(self, path, *, overwrite):
        self.detector.save(path, overwrite=overwrite)


def test_a_loss_that_is_not_finite_stops_with_the_images_and_keeps_the_last_good_state(
    train, squares, tmp_path
):
    def spoiled(*given, **options):
        return Spoiled(new_detector(*given, **options), 104)

    with pytest.raises(NotFiniteError) as caught:
        train(squares, tmp_path / "run", "train.batch_size=1", build=spoiled)
    assert caught.value.exit_code == 1
    step = int(str(caught.value).split()[1].rstrip(":"))
    assert f"step {step}: loss_class nan in the batch of images 104; a state before it is saved" in str(
        caught.value
    )
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] == step - 1
    assert all(tensor.isfinite().all() for tensor in state["detector"].values())


class Poisoned(Spoiled):
    """A detector whose forward pass spoils the statistics of BatchNorm, too, as infinite features do."""

    def forward(self, images, targets):
        losses = super().forward(images, targets)
        if not losses["loss_class"].isfinite():
            moved = [own for name, own in self.detector.named_buffers() if name.endswith("running_var")]
            moved[0].data = torch.full_like(moved[0], math.nan)
        return losses


def test_a_state_whose_statistics_are_spoiled_does_not_replace_a_sound_one(train, squares, tmp_path):
    def poisoned(*given, **options):
        return Poisoned(new_detector(*given, **options), 104)

    with pytest.raises(NotFiniteError):
        train(squares, tmp_path / "run", "train.batch_size=1", build=poisoned)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state["detector"].values())


def test_anchors_from_boxes_need_boxes(tiny_recipe, squares, tmp_path):
    empty = replace(squares, records=squares.records[:1])
    with pytest.raises(InputError, match="auto needs boxes to choose from, and no image has one"):
        fit(tiny_recipe("model.anchor_scale=auto"), empty, None, tmp_path / "run", quiet=True)


@pytest.fixture
def deferred(monkeypatch):
    """Losses are read late, as on a GPU; the optimizer is fused, so that it skips steps without a look."""

    def fused(*given):
        optimizer = build_optimizer(*given)
        for group in optimizer.param_groups:
            group["fused"] = True
        return optimizer

    monkeypatch.setattr(run_setup, "build_optimizer", fused)
    monkeypatch.setattr(fit_module, "Steps", partial(Steps, defer=True))


def test_read_late_the_numbers_are_the_same(train, squares, tmp_path, deferred, monkeypatch):
    more = (*ONE, "train.batch_size=1", "train.log_every=4")
    train(squares, tmp_path / "late", *more)
    monkeypatch.setattr(fit_module, "Steps", Steps)
    train(squares, tmp_path / "at once", *more)
    late, at_once = logged(tmp_path / "late"), logged(tmp_path / "at once")
    assert [line["step"] for line in late] == [line["step"] for line in at_once] == [4]
    assert late[0]["loss"] == pytest.approx(at_once[0]["loss"], rel=1e-4)
    a, b = weights(tmp_path / "late"), weights(tmp_path / "at once")
    assert all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-6) for name in a)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_read_late_a_loss_that_is_not_finite_still_leaves_the_state_before_it(
    train, squares, tmp_path, deferred, monkeypatch, optimizer
):
    def spoiled(*given, **options):
        return Spoiled(new_detector(*given, **options), 104)

    more = ("train.batch_size=1", "train.log_every=6", f"train.optimizer={optimizer}", "train.lr=1e-3")
    told, states = [], []
    for name, steps in (("late", fit_module.Steps), ("at once", Steps)):
        monkeypatch.setattr(fit_module, "Steps", steps)
        with pytest.raises(NotFiniteError, match=r"loss_class nan in the batch of images 104;") as caught:
            train(squares, tmp_path / name, *more, build=spoiled)
        told.append(str(caught.value))
        states.append(torch.load(tmp_path / name / "state.pt", weights_only=True))
    late, at_once = states
    assert told[0] == told[1]
    assert late["step"] == at_once["step"] < 5
    for part in ("detector", "average"):
        for name, tensor in late[part].items():
            assert torch.allclose(tensor, at_once[part][name], rtol=1e-4, atol=1e-6), name


def test_a_state_holds_nothing_twice(train, squares, tmp_path):
    train(squares, tmp_path / "run", *ONE)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    trained = sum(tensor.nbytes for tensor in state["average"].values())
    whole = sum(tensor.nbytes for tensor in state["detector"].values())
    assert trained < whole  # the first stage of the backbone is frozen
    assert (tmp_path / "run" / "state.pt").stat().st_size < 1.1 * (whole + 2 * trained) + 100_000


class Indeterminate(Spoiled):
    """A detector that needs a kernel of which there is no deterministic form, as some have on a GPU."""

    def forward(self, images, targets):
        assert torch.are_deterministic_algorithms_enabled()
        raise RuntimeError("deform_conv2d does not have a deterministic implementation, but you set. More")


def test_a_kernel_that_is_not_deterministic_is_told_in_one_line(train, squares, tmp_path):
    def indeterminate(*given, **options):
        return Indeterminate(new_detector(*given, **options), None)

    with pytest.raises(InputError, match=r"^train.deterministic: deform_conv2d does not .*; leave it"):
        train(squares, tmp_path / "run", *ONE, "train.deterministic=true", build=indeterminate)
    torch.use_deterministic_algorithms(False)


class Steep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, *gradients):
        return gradients[0] * math.inf


class SteepLosses(Spoiled):
    """A detector whose losses are finite and whose gradients are not."""

    def forward(self, images, targets):
        return {name: Steep.apply(loss) for name, loss in self.detector(images, targets).items()}


def test_a_gradient_that_is_not_finite_stops_too(train, squares, tmp_path):
    def steep(*given, **options):
        return SteepLosses(new_detector(*given, **options), None)

    with pytest.raises(
        NotFiniteError, match=r"step 1: grad_norm (nan|inf) in the batch of images 10\d, 10\d;"
    ):
        train(squares, tmp_path / "run", build=steep)


def test_weights_of_another_run_can_be_the_start(train, tiny_recipe, squares, tmp_path):
    first = train(squares, tmp_path / "first", *ONE)
    start = new_detector(tiny_recipe(), ("square",), first.last)
    assert same(start.state_dict(), weights(tmp_path / "first"))
    train(squares, tmp_path / "second", *ONE, init=first.last)


def test_a_run_killed_in_its_first_steps_goes_on_from_the_weights_it_began_with(
    train, squares, tmp_path, monkeypatch
):
    first = train(squares, tmp_path / "first", *ONE)
    train(squares, tmp_path / "whole", *ONE, init=first.last)
    with monkeypatch.context() as patched:
        patched.setattr(fit_module, "_train_epoch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(squares, tmp_path / "killed", *ONE, init=first.last)
    train(squares, tmp_path / "killed", *ONE, resume=True)
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("classes", [("circle",), ("square", "circle")])
def test_weights_with_other_classes_give_all_but_what_tells_these(
    train, tiny_recipe, squares, tmp_path, classes
):
    first = train(squares, tmp_path / "first", *ONE)
    given, start = weights(tmp_path / "first"), new_detector(tiny_recipe(), classes, first.last).state_dict()
    anew = {name for name in given if not torch.equal(given[name], start[name])}
    assert anew == {name for name in given if ".predictor.classes." in name or ".predictor.deltas." in name}


def test_self_reconstruction_is_added_to_weights_without_or_changed(train, tiny_recipe, squares, tmp_path):
    first = train(squares, tmp_path / "first", "model.self_reconstruction=false", *ONE)
    given = weights(tmp_path / "first")
    for switches in ("true", "{head: lite}", "{head: paper, enhancement: add}"):
        recipe = tiny_recipe(f"model.self_reconstruction={switches}")
        start = new_detector(recipe, ("square",), first.last).state_dict()
        assert all(torch.equal(start[name], given[name]) for name in given)
        assert any(name.startswith("self_reconstruction.") for name in start)


def test_a_part_is_trained_alone(train, tiny_recipe, squares, tmp_path):
    first = train(
        squares, tmp_path / "first", "model.norm_eval=false", "model.self_reconstruction=false", *ONE
    )
    model = ("model.norm_eval=false", "model.self_reconstruction=true", "train.only=[self_reconstruction]")
    train(squares, tmp_path / "second", *model, *ONE, init=first.last)
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(after[name], before[name]) for name in before)  # statistics of BatchNorm, too
    start = new_detector(tiny_recipe(*model), ("square",), first.last).state_dict()
    learned = {name for name in after.keys() - before.keys() if not torch.equal(after[name], start[name])}
    assert {
        "self_reconstruction.head.output.weight",
        "self_reconstruction.predictor.output.weight",
    } <= learned
    with pytest.raises(InputError, match=r"has no 'heads' \(did you mean 'head'\?\); it has pyramid, "):
        train(squares, tmp_path / "third", "train.only=heads", init=first.last)
    with pytest.raises(InputError, match=r"train.only: nothing is left to train of pyramid.backbone.body"):
        frozen = ("model.frozen_stages=4", "train.only=pyramid.backbone.body")
        train(squares, tmp_path / "third", *frozen, init=first.last)


def test_maps_leave_all_other_weights_bit_for_bit_as_they_are_without(train, squares, tmp_path):
    changes = ("train.clip_norm=0.1", "train.ema=null")
    train(squares, tmp_path / "with", "model.self_reconstruction=true", *changes)
    train(squares, tmp_path / "without", "model.self_reconstruction=false", *changes)
    learned, plain = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert plain.keys() < learned.keys()
    assert same(plain, learned)
    first, other = (logged(tmp_path / run)[0] for run in ("with", "without"))
    assert first["grad_norm"] > other["grad_norm"] > 0.1


def test_weights_of_another_kind_are_refused(train, squares, tmp_path):
    first = train(squares, tmp_path / "first", *ONE)
    own = "these are weights of faster-rcnn on test_resnet, the recipe builds"
    for change, other in (
        ("pyramid_channels=32", "faster-rcnn on test_resnet with another pyramid_channels;"),
        ("system=retinanet", "retinanet on test_resnet;"),
    ):
        with pytest.raises(InputError, match=f"{own} {other}") as error:
            train(squares, tmp_path / "other", f"model.{change}", init=first.last)
        assert "\n" not in str(error.value)


def test_resuming_on_other_data_is_refused(train, write_set, squares, tmp_path):
    train(squares, tmp_path / "run", *ONE)
    other = write_set(tmp_path / "other", images=4)
    with pytest.raises(InputError, match="started on data with images 6, now it is 4"):
        train(other, tmp_path / "run", *ONE, resume=True)


def test_resuming_with_another_validation_set_is_refused(train, squares, held_out, tmp_path):
    train(squares, tmp_path / "run", *ONE, val=held_out)
    with pytest.raises(InputError, match="validation images 3, now it is 0"):
        train(squares, tmp_path / "run", *ONE, resume=True)


def test_resuming_with_other_labels_or_other_images_is_refused(train, squares, tmp_path):
    train(squares, tmp_path / "run", *ONE)
    moved = replace(squares.records[1], boxes=squares.records[1].boxes + 2)
    ignored = replace(squares.records[1], ignore=~squares.records[1].ignore)
    for other in (moved, ignored):
        changed = replace(squares, records=(squares.records[0], other, *squares.records[2:]))
        with pytest.raises(InputError, match=r"started on data with .*; resume with the same data"):
            train(changed, tmp_path / "run", *ONE, resume=True)
    Image.new("RGB", (64, 64)).save(squares.records[1].path)
    with pytest.raises(InputError, match=r"started on data with other files, boxes or labels"):
        train(squares, tmp_path / "run", *ONE, resume=True)


def test_a_state_that_does_not_know_its_files_is_gone_on_with(train, squares, tmp_path):
    train(squares, tmp_path / "run", *ONE)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    del state["data"]["content"], state["init"]
    torch.save(state, tmp_path / "run" / "state.pt")
    train(squares, tmp_path / "run", *ONE, init="some.safetensors", resume=True)


def test_what_goes_on_takes_no_other_weights_to_start_from(train, squares, tmp_path):
    first = train(squares, tmp_path / "first", *ONE)
    with pytest.raises(
        InputError, match=r"started without --init, and goes on without a look at .*last\.safe"
    ):
        train(squares, tmp_path / "first", *ONE, init=first.last, resume=True)
    train(squares, tmp_path / "second", *ONE, init=first.last)
    train(squares, tmp_path / "second", *ONE, init=first.last, resume=True)
    with pytest.raises(
        InputError, match=r"started with --init .*last\.safetensors, and .* at other\.safeten"
    ):
        train(squares, tmp_path / "second", *ONE, init="other.safetensors", resume=True)


@pytest.mark.parametrize("together", [True, False])
def test_it_learns_in_the_layout_that_is_faster_here(together, train, squares, tmp_path, monkeypatch):
    layouts = []

    def optimizer(detector, settings):
        kernels = [own for own in detector.parameters() if own.dim() == 4 and min(own.shape[1:]) > 1]
        layouts.append({own.is_contiguous(memory_format=torch.channels_last) for own in kernels})
        return build_optimizer(detector, settings)

    monkeypatch.setattr(run_setup, "trains_channels_last", lambda device: together)
    monkeypatch.setattr(run_setup, "build_optimizer", optimizer)
    train(squares, tmp_path / "run", *ONE)
    assert layouts == [{together}]
