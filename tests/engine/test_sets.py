import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from srtod.data.dataset import DetectionDataset
from srtod.engine.sets import (
    Source,
    common_stretch,
    evaluation_set,
    held_out_split,
    training_records,
    training_sets,
)
from srtod.engine.setup import training_dataset
from srtod.recipes import DataRecipe, Recipe
from srtod.support.errors import InputError


@pytest.fixture
def folder(squares_folder, tmp_path):
    return shutil.copytree(squares_folder, tmp_path / "squares")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_splits_train_and_val_are_taken(folder):
    train, val = training_sets(Source(folder))
    assert (train.split, len(train.records)) == ("train", 6)
    assert val is not None
    assert (val.split, len(val.records)) == ("val", 3)


def test_one_stretch_is_chosen_for_narrow_images_of_16_bits(folder, capsys):
    assert common_stretch(training_sets(Source(folder))[0]) == "auto"
    for number, path in enumerate(sorted(folder.glob("images/train*.png"))):
        with Image.open(path) as image:
            deep = np.asarray(image.convert("L")).astype(np.uint16) + 50_000 + 10 * number
        Image.fromarray(deep).save(path)
    train, _ = training_sets(Source(folder))
    assert "of 0 to 65535, would be" in " ".join(capsys.readouterr().err.split())
    stretch = common_stretch(train)
    assert eval(repr(stretch), {}) == stretch  # plain numbers, which can be typed again
    low, high = stretch
    assert 50_000 <= low < high <= 50_000 + 255 + 10 * number
    stretched, _ = training_sets(Source(folder, stretch=(low, high)))
    assert {record.stretch for record in stretched.records} == {(low, high)}
    assert np.ptp(DetectionDataset(stretched.records, classes=train.classes)[1][0].numpy()) > 100


def test_trainval_stands_in_for_train_and_its_val_is_not_validated_on(folder):
    (folder / "train.json").rename(folder / "trainval.json")
    train, val = training_sets(Source(folder))
    assert (train.split, val) == ("trainval", None)
    shutil.copy(folder / "val.json", folder / "test.json")
    _, val = training_sets(Source(folder))
    assert val is not None
    assert val.split == "test"


def test_other_splits_to_learn_from_and_to_validate_on(folder):
    shutil.copy(folder / "val.json", folder / "test.json")
    train, val = training_sets(Source(folder, "val"), val_split="test")
    assert val is not None
    assert (train.split, val.split) == ("val", "test")
    with pytest.raises(InputError, match="no split 'trainval'"):
        training_sets(Source(folder, "trainval"))


def test_what_is_learned_from_is_not_validated_on(folder):
    assert training_sets(Source(folder, "val"))[1] is None
    with pytest.raises(InputError, match="val is learned from, whole or in part"):
        training_sets(Source(folder, "val"), val_split="val")
    (folder / "train.json").rename(folder / "trainval.json")
    with pytest.raises(InputError, match="val is learned from, whole or in part"):
        training_sets(Source(folder), val_split="val")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [(("train", "test", "val"), "val"), (("test", "train"), "test"), (("train",), None), (("",), None)],
)
def test_val_or_else_test_is_held_out(names, chosen):
    assert held_out_split(names) == chosen


def test_test_stands_in_for_val(folder):
    (folder / "val.json").rename(folder / "test.json")
    _, val = training_sets(Source(folder))
    assert val is not None
    assert val.split == "test"


def test_without_either_nothing_is_validated_on(folder):
    (folder / "val.json").unlink()
    assert training_sets(Source(folder))[1] is None


def test_other_data_to_validate_on(folder, squares_folder):
    (folder / "val.json").unlink()
    _, val = training_sets(Source(folder), val_data=squares_folder)
    assert val is not None
    assert val.split == "val"
    assert squares_folder in val.source.parents


def test_other_classes_are_refused(folder):
    change(folder / "val.json", categories=[{"id": 1, "name": "circle"}])
    with pytest.raises(
        InputError, match=r"its classes \(circle\) are not those of .* \(square\); validate on"
    ):
        training_sets(Source(folder))


def test_a_damaged_image_stops_before_training_or_is_left_out_and_told(folder, capsys):
    (folder / "images" / "train2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"train2.png, image 102: .*--skip-bad"):
        training_sets(Source(folder))
    capsys.readouterr()
    train, val = training_sets(Source(folder, skip_bad=True))
    assert val is not None
    assert (len(train.records), len(val.records)) == (5, 3)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["left out"]
    assert "image 102" in said[0]


def test_images_without_boxes(squares):
    assert len(training_records(squares, DataRecipe(), seed=0)) == 6
    assert len(training_records(squares, DataRecipe(images_without_boxes=False), seed=0)) == 5


@pytest.fixture
def negatives(tmp_path):
    for name, side in (("day/a.png", 40), ("b.jpg", 64)):
        (tmp_path / "none" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, 40)).save(tmp_path / "none" / name)
    return tmp_path / "none"


def test_copies_are_pasted_anew_in_every_epoch_and_the_same_in_every_run(squares):
    dataset, _ = training_dataset(Recipe(data=DataRecipe(paste=20, horizontal_flip=0)), squares, None)
    counts = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        counts.append([len(dataset[index][1]["boxes"]) for index in range(len(dataset))])
    plain = [len(record.boxes) for record in squares.records]
    assert counts[0] == counts[2] != counts[1]
    assert all(count >= own for count, own in zip(counts[0], plain, strict=True))
    assert counts[0] != plain


def test_negatives_are_learned_from_beside_the_others(squares, negatives):
    for boxes in (True, False):
        recipe = DataRecipe(negatives=str(negatives), images_without_boxes=boxes)
        plain = training_records(squares, DataRecipe(images_without_boxes=boxes), seed=0)
        records = training_records(squares, recipe, seed=0)
        assert records[: len(plain)] == plain
        assert [record.image_id for record in records[len(plain) :]] == ["b.jpg", "day/a.png"]
    sample, target = DetectionDataset(records, classes=squares.classes)[len(records) - 1]
    assert sample.shape == (3, 40, 40)
    assert target["boxes"].shape == (0, 4)


def test_every_slice_of_negatives_is_learned_from(squares, negatives):
    recipe = DataRecipe(negatives=str(negatives), slice=32, slice_overlap=0.0, empty_slices=0.0)
    names = [str(record.image_id) for record in training_records(squares, recipe, seed=0)]
    assert sum(name.startswith("b.jpg") for name in names) == 4
    assert sum(name.startswith("day/a.png") for name in names) == 4


def test_damaged_negatives_are_left_out_and_told(squares, negatives, capsys):
    (negatives / "c.jpg").write_bytes(b"no image")
    truncated = negatives / "d.png"
    truncated.write_bytes((negatives / "day" / "a.png").read_bytes()[:60])
    recipe = DataRecipe(negatives=str(negatives))
    assert len(training_records(squares, recipe, seed=0)) == 6 + 2
    said = capsys.readouterr().err
    assert "c.jpg" in said
    assert "d.png" in said
    training_records(squares, recipe, seed=0, quiet=True)
    assert "left out" not in capsys.readouterr().err


def test_images_of_the_set_are_no_negatives(squares, negatives):
    recipe = DataRecipe(negatives=str(squares.records[0].path.parent))
    with pytest.raises(InputError, match="is an image of the data set"):
        training_records(squares, recipe, seed=0)
    held_out = [replace(squares.records[0], path=negatives / "b.jpg")]
    with pytest.raises(InputError, match=r"b\.jpg is an image of the data set"):
        training_records(squares, DataRecipe(negatives=str(negatives)), seed=0, held_out=held_out)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_negatives_is_refused(squares, tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"data\.negatives: .*{name}"):
        training_records(squares, DataRecipe(negatives=str(tmp_path / name)), seed=0)


def test_images_with_nothing_but_regions_to_ignore_have_no_boxes(squares):
    ignoring = tuple(replace(record, ignore=~record.ignore) for record in squares.records[:3])
    mixed = replace(squares, records=(*ignoring, squares.records[3]))
    assert len(training_records(mixed, DataRecipe(images_without_boxes=False), seed=0)) == 1
    with pytest.raises(InputError, match="no image has a box, so there is nothing to learn"):
        training_records(replace(squares, records=ignoring), DataRecipe(), seed=0)


@pytest.mark.parametrize("key", ["crop", "slice"])
def test_pieces_that_hold_half_of_no_object_are_refused(squares, key):
    with pytest.raises(
        InputError, match=rf"^data\.{key}: pieces of 3 px .* nothing to learn; take at least 10,"
    ):
        training_records(squares, DataRecipe(**{key: 3}), seed=0)
    assert any(
        not record.ignore.all() for record in training_records(squares, DataRecipe(**{key: 12}), seed=0)
    )


@pytest.mark.parametrize("name", ["test", "val"])
def test_the_only_split_is_not_validated_on_whatever_its_name(folder, name, capsys):
    (folder / "val.json").unlink()
    (folder / "train.json").rename(folder / f"{name}.json")
    train, val = training_sets(Source(folder))
    assert (train.split, val) == (name, None)
    assert f"learns from '{name}', the only split there is" in capsys.readouterr().err


def test_images_that_are_learned_from_and_validated_on_are_told(folder, capsys):
    shutil.copy(folder / "train.json", folder / "val.json")
    content = json.loads((folder / "val.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"../train/{image['file_name']}"
    (folder / "val.json").write_text(json.dumps(content))
    for image in (folder / "images" / "train").glob("*"):
        target = folder / "images" / "val" / image.name
        target.unlink(missing_ok=True)
        target.symlink_to(image)
    training_sets(Source(folder))
    assert "6 of its 6 images are learned from, too" in capsys.readouterr().err


def test_an_empty_split_to_validate_on_is_left_out_where_faults_are(folder):
    change(folder / "val.json", images=[], annotations=[])
    assert training_sets(Source(folder, skip_bad=True))[1] is None


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_split_of_which_no_image_can_be_read_is_told_and_not_validated_on(folder, capsys, damage):
    for path in folder.glob("images/val*"):
        damage(path)
    with pytest.raises(InputError, match=r"val0\.png"):
        training_sets(Source(folder))
    capsys.readouterr()
    assert training_sets(Source(folder, skip_bad=True))[1] is None
    said = " ".join(capsys.readouterr().err.split())
    assert "left out: " in said
    assert "val0.png" in said
    assert "val.json: no image can be read, so there is no validation" in said
    with pytest.raises(InputError, match="no image can be read, so there is nothing to evaluate on"):
        evaluation_set(Source(folder, skip_bad=True))


def test_a_box_across_an_edge_is_clipped_and_told_and_stops_nothing(folder, capsys):
    content = json.loads((folder / "train.json").read_text())
    content["annotations"][0]["bbox"] = [60, 1, 9, 5]
    (folder / "train.json").write_text(json.dumps(content))
    train, _ = training_sets(Source(folder))
    assert [60, 1, 64, 6] in np.concatenate([record.boxes for record in train.records]).tolist()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "reaches out of the image" in line]
    assert "clipped to it" in line
    assert "left out" not in line


def test_faults_of_one_cause_are_one_line(folder, capsys):
    content = json.loads((folder / "train.json").read_text())
    boxes = [annotation | {"bbox": [1, 1, 0, 5]} for annotation in content["annotations"]]
    change(folder / "train.json", annotations=boxes)
    training_sets(Source(folder, skip_bad=True))
    lines = [line for line in capsys.readouterr().err.splitlines() if "has zero or negative size" in line]
    assert len(lines) == 1
    assert "more like this)" in lines[0]
