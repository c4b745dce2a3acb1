import json

import numpy as np
import pytest
from PIL import Image

from srtod import data
from srtod.data.inspection import describe
from srtod.plots.palette import class_colour
from srtod.plots.sheet import TILE, draw_sheet, write_sheets


def write_set(root, boxes, *, images=3, size=(320, 240), crowd=()):
    (root / "images").mkdir(parents=True)
    names = [f"{number}.png" for number in range(images)]
    for name in names:
        Image.new("RGB", size, (40, 60, 90)).save(root / "images" / name)
    marks = [
        {"image_id": image, "category_id": 1, "bbox": box, "iscrowd": int(crowded)}
        for crowded, group in ((False, boxes), (True, crowd))
        for image in range(images)
        for box in group
    ]
    content = {
        "images": [
            {"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)
        ],
        "annotations": [mark | {"id": i} for i, mark in enumerate(marks)],
        "categories": [{"id": 1, "name": "drone"}],
    }
    (root / "train.json").write_text(json.dumps(content))
    return data.read(root)


def count(sheet: Image.Image, colour) -> int:
    return int((np.asarray(sheet) == colour).all(axis=2).sum())


def test_marks_objects_in_images_and_crops(tmp_path):
    annotated = write_set(tmp_path, [[100, 100, 4, 4]])
    sheet = draw_sheet(annotated, describe(annotated))
    assert sheet.width >= 3 * TILE
    # three frames in the images (about 40 pixels of line each) and three larger ones in the crops
    assert count(sheet, class_colour(0)) > 3 * (4 * 10 + 4 * 30)


def test_pixels_of_crops_are_squares(tmp_path):
    annotated = write_set(tmp_path, [[100, 100, 2, 2]], images=1)
    picture = Image.new("RGB", (320, 240), (0, 0, 0))
    picture.putpixel((100, 100), (0, 255, 0))
    picture.save(annotated.records[0].path)
    sheet = np.asarray(draw_sheet(annotated, describe(annotated)))
    rows, columns = np.nonzero((sheet == (0, 255, 0)).all(axis=2))
    side = rows.max() - rows.min() + 1
    assert side >= 8
    assert columns.max() - columns.min() + 1 == side
    assert len(rows) == side * side


@pytest.mark.parametrize("boxes", [[], [[0, 0, 320, 240]], [[0, 0, 1, 1], [319, 239, 1, 1]]])
@pytest.mark.parametrize("size", [(320, 240), (3, 500), (1, 1)])
def test_any_set_can_be_drawn(tmp_path, boxes, size):
    inside = [[min(x, size[0] - 1), min(y, size[1] - 1), w, h] for x, y, w, h in boxes]
    annotated = write_set(tmp_path, inside, size=size, crowd=[[0, 0, 1, 1]])
    assert draw_sheet(annotated, describe(annotated)).height > 100


def test_images_without_number_are_spread_over_the_set(tmp_path):
    annotated = write_set(tmp_path, [[10, 10, 4, 4]], images=30)
    sheet = draw_sheet(annotated, describe(annotated), images=12)
    assert sheet.height > 2 * draw_sheet(annotated, describe(annotated), images=4).height


def test_set_without_images(tmp_path):
    annotated = write_set(tmp_path, [], images=0)
    assert draw_sheet(annotated, describe(annotated)).width >= TILE


def test_image_that_cannot_be_read_is_passed_over(tmp_path):
    annotated = write_set(tmp_path, [[10, 10, 4, 4]])
    annotated.records[0].path.write_bytes(b"")
    assert draw_sheet(annotated, describe(annotated)).width >= 2 * TILE


def test_one_file_a_split(tmp_path):
    annotated = write_set(tmp_path / "set", [[10, 10, 4, 4]])
    (path,) = write_sheets([(annotated, describe(annotated))], tmp_path / "out")
    assert path == tmp_path / "out" / "sheet-train.png"
    assert Image.open(path).format == "PNG"
    assert [file.name for file in path.parent.iterdir()] == ["sheet-train.png"]
