"""What a user sees of ``srtod train`` when something is wrong; the runs themselves are tested in engine."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import srtod
from srtod.cli.main import app
from srtod.recipes import differing_keys, load_recipe
from srtod.support.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """One image with one box."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "data" / "images" / "one.png")
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 8, 8], "area": 64, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "one.png", "width": 32, "height": 32}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "drone"}],
    }
    (tmp_path / "data" / "train.json").write_text(json.dumps(content))
    return tmp_path / "data"


def refused(*words):
    """Run ``srtod train WORDS`` and return its error."""
    result = CliRunner().invoke(app, ["train", *map(str, words)])
    assert isinstance(result.exception, InputError), result.output
    assert result.exception.exit_code == 2
    return str(result.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--recipe", "smal"), "no recipe named 'smal' (did you mean 'small'?)"),
        (
            ("--recipe", "small", "--set", "train.epoch=1"),
            "unknown key 'train.epoch' (did you mean 'epochs'?)",
        ),
        (("--set", "model.system=rcnn"), "unknown system 'rcnn'"),
        (("--resume",), "run: there is no run to go on with (no config.yaml); start one without --resume"),
        (("--recipe", "small", "--device", "tpu"), "device 'tpu': not one of auto, cpu, cuda"),
        (("--recipe", "small", "--format", "pascal"), "pascal"),
        (("--recipe", "small", "--init", "none.safetensors"), "none.safetensors: no such file of weights"),
    ],
)
def test_wrong_words_leave_nothing_behind(folder, tmp_path, words, says):
    assert says in refused(folder, "--output", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


def test_without_a_recipe_it_takes_and_prints_one_that_reads_again(folder, tmp_path):
    light = [
        f"--set={change}" for change in ("model.backbone=test_resnet", "model.pretrained_backbone=false")
    ]
    words = ["train", folder, "--output", tmp_path / "run", "--epochs", 1, "--device", "cpu", *light]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    printed = result.stderr.partition("base: ")[2].partition("\nmodel.anchor_scale")[0]
    (tmp_path / "again.yaml").write_text(f"base: {printed}")
    own = load_recipe(tmp_path / "run" / "config.yaml")
    again = load_recipe(tmp_path / "again.yaml", ["train.epochs=1", *(change[6:] for change in light)])
    assert {key for key, _, _ in differing_keys(own, again)} == {"about.source", "model.anchor_scale"}
    assert (own.model.resize, own.model.anchor_scale) == (2.0, (4.0,))


def test_from_given_weights_it_takes_their_detector_and_what_they_leave_open(folder, tmp_path):
    thin = {"pyramid_channels": 16, "box_channels": 16, "anchor_scale": 3}
    given = srtod.build_detector("cascade-rcnn", classes=("bird",), backbone="test_resnet", **thin)
    given.save(tmp_path / "given.safetensors")
    words = ["train", folder, "--output", tmp_path / "run", "--epochs", 1, "--device", "cpu"]
    result = CliRunner().invoke(app, list(map(str, [*words, "--init", tmp_path / "given.safetensors"])))
    assert result.exit_code == 0, result.output
    assert f"the rest of the model is as {tmp_path / 'given.safetensors'} has it" in result.stderr
    model = srtod.load(tmp_path / "run" / "last.safetensors").config
    assert (model["system"], model["pyramid_channels"], model["anchor_scale"]) == ("cascade-rcnn", 16, [3.0])
    assert (model["classes"], model["resize"]) == (["drone"], 2.0)  # what the data say


def test_advice_gives_way_to_another_system(folder, tmp_path):
    error = refused(
        folder, "--output", tmp_path / "run", "--set", "model.system=atss", "--set", "train.lr=-1"
    )
    assert error.startswith("advice: train.lr:")


def test_no_data(tmp_path):
    assert str(tmp_path / "nowhere") in refused(
        tmp_path / "nowhere", "--output", tmp_path / "run", "--recipe", "small"
    )


def test_damaged_data(folder, tmp_path):
    (folder / "images" / "one.png").write_bytes(b"not an image")
    error = refused(folder, "--output", tmp_path / "run", "--recipe", "small")
    assert "one.png, image 1:" in error
    assert "--skip-bad" in error


def test_an_output_that_cannot_be_written(folder):
    plain = ("--recipe", "small", "--set", "model.pretrained_backbone=false", "--device", "cpu")
    error = refused(folder, "--output", folder / "train.json" / "run", *plain)
    assert "config.yaml: cannot be written: Not a directory; choose another output" in error


def test_an_output_in_use(folder, tmp_path):
    error = refused(folder, "--output", folder, "--recipe", "small")
    assert error == f"{folder}: not empty; go on with --resume, or choose another output folder"


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--warmup-step", "train.warmup_steps"),
        ("--weight-decay", "train.weight_decay"),
        ("--anchor-scale", "model.anchor_scale"),
    ],
)
def test_an_unknown_option_names_the_recipes_key(folder, option, hint):
    result = CliRunner().invoke(app, ["train", str(folder), "--output", "run", option, "1"])
    assert result.exit_code == 2
    assert f"No such option: {option}" in result.output and hint in result.output


def test_short_options_stand_for_keys_of_the_recipe(folder, tmp_path, monkeypatch):
    from srtod.engine import launch

    given = {}
    monkeypatch.setattr(launch, "train_from_paths", lambda *_, **options: given.update(options))
    words = ("--recipe", "small", "--epochs", "3", "--lr", "0.01", "--crop", "256", "--batch-size", "8")
    more = ("--set", "train.seed=1")
    result = CliRunner().invoke(app, ["train", str(folder), "--output", str(tmp_path / "run"), *words, *more])
    assert result.exit_code == 0, result.output
    assert given["overrides"] == [
        "train.seed=1", "train.epochs=3", "train.batch_size=8", "train.lr=0.01", "data.crop=256",
    ]  # fmt: skip
