import json

import pytest

from srtod import data
from srtod.support.errors import InputError

SPLITS = ("train", "val", "trainval", "test")


@pytest.fixture
def make_aitod(make_image):
    """Writes annotation files, each of one image that lies at ``place`` (with ``{split}``)."""

    def make(root, names, place):
        for name in names:
            split = next(split for split in ("trainval", *SPLITS) if split in name)
            path = make_image(root / place.format(split=split) / f"{split}__0_0.png")
            content = {
                "images": [{"id": 0, "file_name": path.name, "width": 64, "height": 48}],
                "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5]}],
                "categories": [{"id": 1, "name": "airplane"}],
            }
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(json.dumps(content))
        return root

    return make


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("annotations/aitod_{}_v1.json", "images/{split}"),  # the official toolkit
        ("annotations/aitod_{}.json", "images/{split}"),  # its annotations of 2022
        ("annotations/aitod_{}_v1.json", "{split}/images"),  # the authors of SR-TOD
        ("annotations/aitod_{}_v1.json", "{split}"),
        ("annotations/aitodv2_{}.json", "images/{split}"),
        ("annotations_v2/aitodv2_{}.json", "{split}/images"),
        ("annotations/small_{}_v1_1.0.json", "{split}"),  # the authors of RFLA
        ("annotations/small_{}_v2_2.0.json", "{split}"),
        ("aitod_{}_v1.json", "{split}"),
    ],
)
def test_layouts(tmp_path, make_aitod, pattern, place):
    make_aitod(tmp_path, map(pattern.format, SPLITS), place)
    assert set(data.splits(tmp_path)) == set(SPLITS)
    for split in SPLITS:
        annotated = data.read(tmp_path, split=split).require_sound()
        assert (annotated.format, annotated.split) == ("aitod", split)
        assert annotated.records[0].path.name == f"{split}__0_0.png"
    single = tmp_path / pattern.format("val")
    assert data.read(single).format == "aitod"
    assert data.read(single, format="coco").format == "coco"


@pytest.mark.parametrize("folder", ["annotations", "annotations_v2"])
def test_versions_side_by_side_are_never_guessed(tmp_path, make_aitod, folder):
    make_aitod(
        tmp_path, ["annotations/aitod_trainval_v1.json", "annotations/aitod_test_v1.json"], "images/{split}"
    )
    make_aitod(tmp_path, [f"{folder}/aitodv2_trainval.json"], "images/{split}")
    for format in (None, "aitod"):
        with pytest.raises(
            InputError, match=r"AI-TOD v1 and v2 lie side by side .* --format aitod-v1 or aitod-v2"
        ):
            data.splits(tmp_path, format=format)
    assert data.splits(tmp_path, format="aitod-v1") == ("test", "trainval")
    assert data.splits(tmp_path, format="aitod-v2") == ("trainval",)
    assert data.read(tmp_path, format="aitod-v2").source.name == "aitodv2_trainval.json"
    assert data.read(tmp_path / folder / "aitodv2_trainval.json").source.name == "aitodv2_trainval.json"


def test_version_that_is_not_there(tmp_path, make_aitod):
    make_aitod(tmp_path, ["annotations/aitodv2_train.json"], "images/{split}")
    assert data.splits(tmp_path, format="aitod") == ("train",)
    with pytest.raises(InputError, match="no data set in the layout 'aitod-v1' found here"):
        data.splits(tmp_path, format="aitod-v1")


def test_train_and_val_share_the_images_of_trainval(tmp_path, make_aitod):
    make_aitod(
        tmp_path, ["annotations/aitod_train_v1.json", "annotations/aitod_val_v1.json"], "trainval/images"
    )
    assert data.read(tmp_path, split="train").faults == ()
    assert data.read(tmp_path, split="val").faults == ()
