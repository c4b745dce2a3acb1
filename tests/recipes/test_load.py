import pytest

from srtod.detectors.systems import SYSTEMS
from srtod.recipes import differing_keys, load_recipe, recipe_names, recipe_text
from srtod.support.errors import InputError


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epoch=3", "recipe small: unknown key 'train.epoch' (did you mean 'epochs'?)"),
        ("trian.epochs=3", "recipe small: unknown key 'trian' (did you mean 'train'?)"),
        (
            "model.self_reconstruction.heads=lite",
            "recipe small: unknown key 'model.self_reconstruction.heads' (did you mean 'head'?)",
        ),
        ("train.optimizer=sdg", "recipe small: train.optimizer: input should be 'sgd' or 'adamw', not 'sdg'"),
        (
            "model.system=faster-rccn",
            "recipe small: model: unknown system 'faster-rccn' (did you mean 'faster-rcnn'?); "
            f"known: {', '.join(SYSTEMS)}",
        ),
        (
            "model.rpn_proposal=[9, 9]",
            "recipe small: model: faster-rcnn has no option 'rpn_proposal' "
            "(did you mean 'rpn_proposals'?); beside what all systems read, it reads ",
        ),
        (
            "model.level_candidates=9",
            "model: faster-rcnn has no option 'level_candidates' (did you mean 'rpn_candidates'?); beside "
            "what all systems read, it reads pyramid_channels, rpn_proposals, rpn_candidates, rpn_samples",
        ),
        ("model.classes=[drone]", "model: the classes come from the data; leave model.classes out"),
        ("train.epochs=many", "train.epochs: input should be a valid integer"),
        ("train.epochs=0", "train.epochs: input should be greater than or equal to 1"),
        ("train.lr=.nan", "train.lr: input should be a finite number"),
        ("data.horizontal_flip=1.5", "data.horizontal_flip: input should be less than or equal to 1"),
        ("train.accumulation=3", "train: batch_size 4 cannot be split by accumulation 3"),
        ("model=5", "model: input should be a valid dictionary"),
        ("train.epochs", "--set train.epochs: write it as section.key=value, for example train.epochs=3"),
        ("train..epochs=1", "--set train..epochs=1: write it as section.key=value"),
        ("train.milestones=[1, 2", "--set train.milestones=[1, 2: the value is not valid YAML"),
    ],
)
def test_a_wrong_override_is_one_line_with_the_key_and_the_way_out(override, says):
    with pytest.raises(InputError) as caught:
        load_recipe("small", [override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.lr=1e-5", "train", "lr", 1e-5),
        ("train.milestones=[3, 5]", "train", "milestones", (3, 5)),
        ("train.ema=null", "train", "ema", None),
        ("model.anchor_scale=[2, 3.5]", "model", "anchor_scale", (2.0, 3.5)),
        (
            "model.pretrained_backbone=weights/mine.safetensors",
            "model",
            "pretrained_backbone",
            "weights/mine.safetensors",
        ),
        ("model.self_reconstruction=false", "model", "self_reconstruction", None),
    ],
)
def test_overrides_are_yaml(override, section, key, value):
    assert getattr(getattr(load_recipe("small", [override]), section), key) == value


def test_the_last_override_wins_and_reaches_into_a_section_that_was_off():
    recipe = load_recipe(
        "aitod-faster-rcnn", ["train.epochs=1", "train.epochs=2", "model.self_reconstruction.head=lite"]
    )
    assert recipe.train.epochs == 2
    assert recipe.model.self_reconstruction is not None
    assert recipe.model.self_reconstruction.head == "lite"


def test_a_file_says_only_what_is_its_own(tmp_path):
    written(tmp_path, "gentle.yaml", "train:\n  lr: 1e-5\n  epochs: 3\n")
    mine = written(tmp_path, "mine.yaml", "base: [small, gentle.yaml]\ntrain:\n  epochs: 5\n")
    changed = {key: new for key, _, new in differing_keys(load_recipe("small"), load_recipe(mine))}
    assert changed == {"train.lr": 1e-5, "train.epochs": 5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: smal\n", "no recipe named 'smal' (did you mean 'small'?); there are"),
        ("base: other.yaml\n", "other.yaml: no such recipe file"),
        ("base: loop.yaml\n", "loop.yaml: the recipe builds on itself"),
        ("train:\n  lr: 1\n  lr: 2\n", "not valid YAML: the key 'lr' stands twice"),
        ("train: [\n", "not valid YAML"),
        ("- train\n", "a recipe is a YAML mapping with the sections about, model, data, train"),
        ("", "a recipe is a YAML mapping"),
        ("train: !!python/object/apply:os.system [true]\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, text, says):
    with pytest.raises(InputError) as caught:
        load_recipe(written(tmp_path, "loop.yaml", text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "image.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"image.yaml: cannot be read"):
        load_recipe(path)


@pytest.mark.parametrize("name", recipe_names())
def test_the_text_of_a_recipe_reads_back_to_the_same(name, tmp_path):
    recipe = load_recipe(name)
    assert load_recipe(written(tmp_path, "config.yaml", recipe_text(recipe))) == recipe
