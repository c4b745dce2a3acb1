"""The whole road with a few small weights: train, evaluate, tables, and going on."""

import json
import shutil
from dataclasses import replace

import pytest

from srtod.reproduce import compare as module
from srtod.reproduce import runs
from srtod.reproduce.compare import compare, reproduce_matched
from srtod.reproduce.plan import Options, with_train
from srtod.reproduce.rows import resolve
from srtod.support.errors import InputError

OPTIONS = Options(scale="full", epochs=1, device="cpu")


@pytest.fixture
def trained(monkeypatch):
    """The folders that were trained in, in order."""
    folders = []

    def fit(recipe, train_set, val_set, output, **options):
        folders.append(output.parent.name)
        return real(recipe, train_set, val_set, output, **options)

    real = runs.fit
    monkeypatch.setattr(runs, "fit", fit)
    return folders


def table(output):
    return json.loads((output / "table.json").read_text())


def test_rows_take_turns_and_nothing_is_repeated(comparison, squares, tmp_path, trained):
    text = compare(comparison, squares, tmp_path / "out", options=replace(OPTIONS, seeds=2))
    assert trained == ["plain-seed0", "lite-seed0", "plain-seed1", "lite-seed1"]
    assert compare(comparison, squares, tmp_path / "out", options=replace(OPTIONS, seeds=2)) == text
    assert len(trained) == 4
    compare(comparison, squares, tmp_path / "out", options=replace(OPTIONS, seeds=3))
    assert trained[4:] == ["plain-seed2", "lite-seed2"]
    plain, lite = table(tmp_path / "out")["rows"]
    assert plain["ours"]["AP"]["count"] == lite["gain"]["AP"]["count"] == 3
    assert plain["runs"][0]["steps"] == 4
    assert lite["paper_gain"] == {"AP": 0.05}
    assert not list((tmp_path / "out").glob("runs/*/train/state.pt"))


def test_rows_may_come_later(comparison, squares, tmp_path, trained):
    first, second = ([row] for row in comparison.rows)
    text = compare(comparison, squares, tmp_path / "out", rows=first, options=OPTIONS)
    assert "with it | paper" in text and "ours: not run" in text
    text = compare(comparison, squares, tmp_path / "out", rows=second, options=OPTIONS)
    assert trained == ["plain-seed0", "lite-seed0"]
    assert "gain, ours" in text and "not run" not in text


def test_an_interrupted_run_goes_on_with_its_training(
    comparison, squares, tmp_path, trained, monkeypatch, capsys
):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(runs, "evaluate", interrupted)
        compare(comparison, squares, tmp_path / "out", options=OPTIONS)
    assert "the same command goes on from here" in capsys.readouterr().err
    assert [row["ours"] for row in table(tmp_path / "out")["rows"]] == [None, None]
    compare(comparison, squares, tmp_path / "out", options=OPTIONS)
    assert trained == ["plain-seed0", "plain-seed0", "lite-seed0"]
    assert "going on after step 4" in capsys.readouterr().err
    assert all(row["ours"] for row in table(tmp_path / "out")["rows"])


def test_what_is_reduced_is_said(comparison, squares, tmp_path):
    options = replace(OPTIONS, fraction=0.5, changes=("train.lr=0.02",))
    text = compare(comparison, squares, tmp_path / "out", options=options)
    for said in (
        "Trained on 4 of 8 images",
        "all 4 images (12 boxes) of the split 'test'",
        "Scale: full",
        "Epochs: 1 in place of 2",
        "Changed in every row: train.lr=0.02",
        "1 thread(s)",
    ):
        assert said in text
    assert table(tmp_path / "out")["rows"][0]["runs"][0]["train_images"] == 4


def test_without_reductions_recipes_stay_as_they_are(comparison, squares, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "do_run", lambda run, *_sets, **_options: seen.append(run))
    compare(comparison, squares, tmp_path / "out", options=replace(OPTIONS, epochs=None))
    plain = resolve(comparison.rows[0])
    assert seen[0].recipe == with_train(plain, evaluate_every=0)
    assert "Epochs: 2, as the recipes say" in (tmp_path / "out" / "table.md").read_text()


def test_other_options_end_in_one_line_before_any_work(comparison, squares, tmp_path, trained):
    compare(comparison, squares, tmp_path / "out", rows=comparison.rows[:1], options=OPTIONS)
    with pytest.raises(InputError, match=r"begun with --epochs 1, now it is 3"):
        compare(comparison, squares, tmp_path / "out", options=replace(OPTIONS, epochs=3))
    with pytest.raises(InputError, match=r"no split 'val'"):
        compare(comparison, squares, tmp_path / "other", options=replace(OPTIONS, split="val"))
    with pytest.raises(InputError, match=r"train is learned from, whole or in part"):
        compare(comparison, squares, tmp_path / "other", options=replace(OPTIONS, split="train"))
    assert len(trained) == 1
    assert not (tmp_path / "other").exists()


def test_the_papers_splits_are_taken_where_the_data_have_both(comparison, squares, tmp_path, trained):
    data = shutil.copytree(squares, tmp_path / "data")
    shutil.copy(data / "train.json", data / "trainval.json")
    papers = replace(comparison, splits=("trainval", "test"))

    def taken(name, comparison, **options):
        rows = comparison.rows[:1]
        compare(comparison, data, tmp_path / name, rows=rows, options=replace(OPTIONS, **options))
        described = json.loads((tmp_path / name / "plan.json").read_text())["data"]
        return described["train_split"], described["held_out_split"]

    assert taken("papers", papers) == ("trainval", "test")
    assert taken("other", replace(papers, splits=("train", "val"))) == ("train", "test")
    assert taken("usual", comparison) == ("train", "test")
    shutil.copy(data / "train.json", data / "val.json")
    assert taken("chosen", papers, split="val") == ("train", "val")


def test_an_output_that_cannot_be_written_is_told_before_any_work(comparison, squares, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "training_sets", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        compare(comparison, squares, tmp_path / "file" / "out", options=OPTIONS)


def test_what_cannot_be_built_is_told_before_a_plan_is_made(comparison, squares, tmp_path, trained):
    options = replace(OPTIONS, changes=("model.pretrained_backbone=none.safetensors",))
    with pytest.raises(InputError, match=r"none.safetensors: no such file of backbone weights"):
        compare(comparison, squares, tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()
    assert trained == []


def test_a_budget_decides_before_the_first_run(comparison, squares, tmp_path, trained):
    options = replace(OPTIONS, epochs=None, budget=5)
    text = compare(comparison, squares, tmp_path / "out", options=options)
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert (plan["epochs"], plan["fraction"]) == (2, 1.0)  # never more than the recipe has
    assert 0 < plan["estimate"] < 300
    assert "Epochs: 2 in place of 2, as many as fit 5 minutes" in text
    assert trained == ["plain-seed0", "lite-seed0"]
    with pytest.raises(InputError, match=r"--budget 0\.001: too little for 2 rows x 1 seed\(s\)"):
        compare(comparison, squares, tmp_path / "other", options=replace(options, budget=0.001))


def test_an_option_that_some_rows_systems_lack_is_said_once(
    comparison, squares, tmp_path, monkeypatch, capsys
):
    change = "model.rpn_proposals=[7, 7]"
    dense = replace(comparison.rows[0], key="dense", changes=("model.system=retinanet",))
    mixed, options = replace(comparison, rows=(*comparison.rows, dense)), replace(OPTIONS, changes=(change,))
    seen = []
    monkeypatch.setattr(module, "do_run", lambda run, *_sets, **_options: seen.append(run.recipe.model))
    text = compare(mixed, squares, tmp_path / "out", options=options)
    assert [getattr(model, "rpn_proposals", None) for model in seen] == [(7, 7), (7, 7), None]
    assert capsys.readouterr().err.count(f"--set {change}: left out of dense, whose system has no") == 1
    assert f"- {change} is left out of dense: no option of that system." in text
    with pytest.raises(InputError, match="the system of no row has this option"):
        compare(mixed, squares, tmp_path / "other", rows=[dense], options=options)


def test_one_process_only(comparison, squares, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="runs in one process"):
        compare(comparison, squares, tmp_path / "out", options=OPTIONS)


def test_any_recipe_with_and_without(comparison, squares, tmp_path, monkeypatch):
    recipe = comparison.rows[1].recipe
    options = replace(OPTIONS, changes=("model.self_reconstruction.head=paper",))
    seen = []
    monkeypatch.setattr(module, "do_run", lambda run, *_sets, **_options: seen.append(run))
    reproduce_matched(recipe, squares, tmp_path / "out", options=options)
    base, enhanced = (run.recipe.model for run in seen)
    assert base.self_reconstruction is None
    assert enhanced.self_reconstruction is not None and enhanced.self_reconstruction.head == "paper"
    assert base == enhanced.model_copy(update={"self_reconstruction": None})
    with pytest.raises(InputError, match="has no self-reconstruction that changes the detections"):
        reproduce_matched(
            recipe,
            squares,
            tmp_path / "o",
            options=replace(OPTIONS, changes=("model.self_reconstruction=false",)),
        )
