"""Layouts that other tools write and that are only read: CSV, CVAT's XML, DOTA, folders of frames."""

import errno

import pytest

from srtod import data
from srtod.support.errors import InputError

HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def root(tmp_path, make_image):
    for name in ("a.jpg", "b.jpg"):
        make_image(tmp_path / name)
    return tmp_path


def counts(annotated):
    return [(len(record.boxes), int(record.ignore.sum())) for record in annotated.records]


def test_a_table_with_a_header(root):
    (root / "_annotations.csv").write_text(
        HEAD + "a.jpg,64,48,cat,1,2,11,12\na.jpg,64,48,dog,5,5,9,9\nb.jpg,64,48,,,,,\n"
    )
    annotated = data.read(root).require_sound()
    assert (annotated.format, annotated.classes) == ("csv", ("cat", "dog"))
    assert annotated.records[0].boxes.tolist() == [[1, 2, 11, 12], [5, 5, 9, 9]]
    assert counts(annotated) == [(2, 0), (0, 0)]


def test_columns_under_other_names(root):
    (root / "train.csv").write_text("image_path, x1, y1, x2, y2, label\na.jpg, 1, 2, 11, 12, cat\n")
    assert data.read(root).require_sound().records[0].boxes.tolist() == [[1, 2, 11, 12]]


@pytest.mark.parametrize(
    "table",
    [
        "image;x1;y1;x2;y2;label\na.jpg;1;2;11;12;cat\n",
        "image\tx1\ty1\tx2\ty2\tlabel\na.jpg\t1\t2\t11\t12\tcat\n",
        "image,x,y,width,height,label\na.jpg,1,2,10,10,cat\n",
        "image,x,y,w,h,label\na.jpg,1,2,10,10,cat\n",
        "image,label,x,y,w,h,width,height\na.jpg,cat,1,2,10,10,64,48\n",
    ],
)
def test_tables_with_other_separators_and_with_sizes(root, table):
    (root / "train.csv").write_text(table)
    assert data.read(root).require_sound().records[0].boxes.tolist() == [[1, 2, 11, 12]]


def test_a_size_in_a_table_that_is_no_number_costs_its_image(root):
    (root / "train.csv").write_text("image,x,y,width,height,label\na.jpg,1,2,ten,10,cat\nb.jpg,1,2,9,9,cat\n")
    annotated = data.read(root)
    assert [record.file_name for record in annotated.records] == ["b.jpg"]
    assert annotated.faults[0].what == "'ten' is not a number"


def test_a_class_that_is_rare_is_one_of_each_split(tmp_path, make_image):
    for split, name in (("train", "cat"), ("valid", "dog")):
        make_image(tmp_path / split / "a.jpg")
        (tmp_path / split / "_annotations.csv").write_text(HEAD + f"a.jpg,64,48,{name},1,2,11,12\n")
    sets = {split: data.read(tmp_path, split=split) for split in data.splits(tmp_path)}
    assert {split: own.classes for split, own in sets.items()} == dict.fromkeys(
        ("train", "val"), ("cat", "dog")
    )
    assert sets["val"].records[0].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "message", "left"),
    [
        ("a.jpg,64,48,cat,1,x,11,12\n", "'x' is not a number", []),
        ("a.jpg,64,48,cat,1,,11,12\n", "'' is not a number", []),
        ("a.jpg\n", "'' is not a number", []),
        ("a.jpg,64,48,,1,2,11,12\n", "has no class", [(2, 1)]),
        ("c.jpg,64,48,cat,1,2,11,12\n", "missing image 'c.jpg'", [(1, 0)]),
    ],
)
def test_rows_that_are_wrong(root, row, message, left):
    (root / "set.csv").write_text(HEAD + "a.jpg,64,48,cat,30,30,40,40\n" + row)
    annotated = data.read(root)
    assert message in annotated.faults[0].what
    assert counts(annotated) == left


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a.jpg" width="64" height="48">
<box label="cat" occluded="0" xtl="1.5" ytl="2" xbr="11" ybr="12" z_order="0"></box>
<polygon label="dog" occluded="0" points="5,5;9,5;9,9"></polygon>{more}</image>
<image id="1" name="b.jpg" width="64" height="48"></image></annotations>
"""


def test_the_xml_of_cvat(root):
    (root / "annotations.xml").write_text(CVAT.format(more=""))
    annotated = data.read(root).require_sound()
    assert (annotated.format, annotated.classes) == ("cvat", ("cat", "dog"))
    assert annotated.records[0].boxes.tolist() == [[1.5, 2, 11, 12], [5, 5, 9, 9]]
    assert counts(annotated) == [(2, 0), (0, 0)]


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<box label="cat" xtl="10" ytl="18" xbr="50" ybr="22" rotation="90.0"/>', [28, 0, 32, 40]),
        (
            '<box label="cat" xtl="20" ytl="20" xbr="30" ybr="30" rotation="315"/>',
            [17.93, 17.93, 32.07, 32.07],
        ),
        ('<box label="cat" xtl="20" ytl="20" xbr="30" ybr="30" rotation="0.0"/>', [20, 20, 30, 30]),
        ('<ellipse label="cat" cx="30" cy="20" rx="5" ry="3"/>', [25, 17, 35, 23]),
        ('<ellipse label="cat" cx="30" cy="20" rx="5" ry="3" rotation="90"/>', [27, 15, 33, 25]),
        ('<mask label="cat" rle="1, 2" left="30" top="20" width="5" height="4"/>', [30, 20, 35, 24]),
    ],
)
def test_other_shapes_of_cvat_are_their_enclosing_boxes(root, shape, box):
    (root / "annotations.xml").write_text(CVAT.format(more=shape))
    boxes = data.read(root).require_sound().records[0].boxes.tolist()
    assert boxes[2] == pytest.approx(box, abs=0.01)


def test_a_skeleton_of_cvat_is_not_read(root):
    skeleton = '<skeleton label="pose"><points label="head" points="3,4"/></skeleton>'
    (root / "annotations.xml").write_text(CVAT.format(more=skeleton))
    annotated = data.read(root).require_sound()
    assert annotated.classes == ("cat", "dog")
    assert counts(annotated) == [(2, 0), (0, 0)]


def test_an_image_of_cvat_that_is_missing_is_not_another_of_the_same_base_name(tmp_path, make_image):
    make_image(tmp_path / "images" / "day1" / "1.jpg")
    box = '<box label="cat" xtl="1" ytl="2" xbr="11" ybr="12"/>'
    images = (f'<image name="{day}/1.jpg" width="64" height="48">{box}</image>' for day in ("day1", "day2"))
    (tmp_path / "annotations.xml").write_text(f"<annotations><meta/>{''.join(images)}</annotations>")
    annotated = data.read(tmp_path)
    assert counts(annotated) == [(1, 0)]
    assert "missing image 'day2/1.jpg'" in annotated.faults[0].what


def test_a_shape_of_cvat_without_corners_costs_its_image(root):
    (root / "annotations.xml").write_text(CVAT.format(more='<cuboid label="cat"/>'))
    annotated = data.read(root)
    assert counts(annotated) == [(0, 0)]
    assert annotated.faults[0].what == "'cuboid' is not a number"


def test_the_points_of_a_polygon_of_cvat_that_are_no_numbers_cost_its_image(root):
    (root / "annotations.xml").write_text(CVAT.format(more='<polygon label="cat" points="1,2;x,3"/>'))
    annotated = data.read(root)
    assert counts(annotated) == [(0, 0)]
    assert annotated.faults[0].what == "'1,2;x,3' is not a number"


def test_an_encoding_that_nobody_knows_is_said(root):
    head = '<?xml version="1.0" encoding="nonsense"?>'
    (root / "annotations.xml").write_text(f'{head}<annotations><image name="a.jpg"/></annotations>')
    with pytest.raises(InputError, match="not valid XML: unknown encoding"):
        data.read(root)


@pytest.mark.parametrize("names", [("000000", "000001"), ("000010", "000020"), ("frame-a", "frame-b")])
def test_frames_are_those_that_their_images_are_called_by(tmp_path, make_image, names):
    frames = [name if name.isdecimal() else str(n) for n, name in enumerate(names, start=1)]
    for name in names:
        make_image(tmp_path / "img1" / f"{name}.jpg")
    (tmp_path / "gt").mkdir()
    lines = (f"{int(frame)},1,{left},5,8,8,1,1,1\n" for frame, left in zip(frames, (5, 7), strict=True))
    (tmp_path / "gt" / "gt.txt").write_text("".join(lines))
    records = data.read(tmp_path).require_sound().records
    assert [record.boxes[0, 0] for record in records] == [5, 7]


@pytest.mark.parametrize("pattern", ["frame_{}", "{}", "cam2-{}", "{}_left"])
def test_frames_without_zeros_in_front_are_in_the_order_of_their_numbers(tmp_path, make_image, pattern):
    for number in range(1, 12):
        make_image(tmp_path / "img1" / f"{pattern.format(number)}.jpg")
    (tmp_path / "gt").mkdir()
    lines = (f"{number},1,{number},5,8,8,1,1,1\n" for number in range(1, 12))
    (tmp_path / "gt" / "gt.txt").write_text("".join(lines))
    records = data.read(tmp_path).require_sound().records
    found = {record.path.stem: record.boxes[:, 0].tolist() for record in records}
    assert found == {pattern.format(number): [number] for number in range(1, 12)}


def test_numbers_of_frames_that_the_text_does_not_know_are_none(tmp_path, make_image):
    for name in ("take-10", "take-20"):
        make_image(tmp_path / "img1" / f"{name}.jpg")
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("1,1,5,5,8,8,1,1,1\n2,1,7,5,8,8,1,1,1\n")
    records = data.read(tmp_path).require_sound().records
    assert [record.boxes[0, 0] for record in records] == [5, 7]


def test_cvat_for_video_is_named(root):
    (root / "annotations.xml").write_text(
        '<annotations><meta></meta><track id="0" label="cat"/></annotations>'
    )
    with pytest.raises(InputError, match="CVAT for video, which is not read"):
        data.read(root)


@pytest.mark.parametrize("opening", ['<annotation verified="yes">', "<annotation>"])
def test_a_file_of_labelimg_may_be_verified(root, opening):
    box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    for name in "ab":
        (root / f"{name}.xml").write_text(f"{opening}<object><name>cat</name>{box}</object></annotation>")
    assert data.read(root).require_sound().format == "voc"


def test_a_line_of_motchallenge_that_is_cut_costs_its_image(tmp_path, make_image):
    make_image(tmp_path / "MOT-01" / "img1" / "000001.jpg")
    (tmp_path / "MOT-01" / "gt").mkdir()
    (tmp_path / "MOT-01" / "gt" / "gt.txt").write_text("1,1,5,5\n")
    (fault,) = data.read(tmp_path).faults
    assert "has 4 columns where MOTChallenge has 6 or more" in fault.what


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    "name", ["train.json", "annotations.json", "a.xml", "a.txt", "boxes.csv", "data.yaml"]
)
def test_annotations_that_are_pointers_of_git_lfs_are_said_to_be(root, name):
    (root / name).write_text(POINTER)
    with pytest.raises(InputError, match=f"{name}.*git lfs pull"):
        data.read(root)


def test_a_label_file_that_is_a_pointer_of_git_lfs_costs_its_image(tmp_path, make_image):
    make_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(POINTER)
    annotated = data.read(tmp_path)
    assert not annotated.records
    assert "a pointer of Git LFS" in annotated.faults[0].what


@pytest.mark.parametrize(
    "name", ["Ignored Regions", "ignored-regions", "ignored_region", "dont_care", "_ignore_"]
)
def test_what_a_class_marks_that_is_called_ignore_is_to_be_ignored(root, name):
    rows = f"a.jpg,64,48,{name},1,2,11,12\na.jpg,64,48,dog,5,5,9,9\nb.jpg,64,48,cat,5,5,9,9\n"
    (root / "_annotations.csv").write_text(HEAD + rows)
    annotated = data.read(root).require_sound()
    assert annotated.classes == ("cat", "dog")
    assert [record.labels.tolist() for record in annotated.records] == [[data.ANY_CLASS, 1], [0]]
    assert counts(annotated) == [(2, 1), (1, 0)]
    assert annotated.notes == (f"{root / '_annotations.csv'}: {name}: marks regions to ignore, no class",)


@pytest.mark.parametrize("method", ["read_text", "open"])
def test_a_file_without_permission_is_one_line(root, monkeypatch, method):
    file = root / "_annotations.csv"
    file.write_text(HEAD + "a.jpg,64,48,dog,5,5,9,9\n")
    allowed = getattr(type(file), method)

    def refuse(path, *args, **options):
        if path == file:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return allowed(path, *args, **options)

    monkeypatch.setattr(type(file), method, refuse)
    with pytest.raises(InputError, match=r"_annotations\.csv: cannot be read: Permission denied"):
        data.read(root)


def test_dota(tmp_path, make_image):
    make_image(tmp_path / "train" / "images" / "P1.png")
    text = tmp_path / "train" / "labelTxt" / "P1.txt"
    text.parent.mkdir()
    text.write_text("imagesource:x\ngsd:0.1\n5 1 9 5 5 9 1 5 ship 0\n20 20 30 20 30 30 20 30 plane 1\n")
    annotated = data.read(tmp_path).require_sound()
    assert (annotated.format, annotated.split, annotated.classes) == ("dota", "train", ("plane", "ship"))
    assert annotated.records[0].boxes.tolist() == [[1, 1, 9, 9], [20, 20, 30, 30]]
    assert annotated.records[0].ignore.tolist() == [False, True]


@pytest.mark.parametrize("folder", ["annfiles", "labelTxt-v1.5/DOTA-v1.5_train"])
def test_dota_in_other_folders_and_a_class_that_is_rare(tmp_path, make_image, folder):
    for split, name in (("train", "ship"), ("val", "plane")):
        make_image(tmp_path / split / "images" / "P1.png")
        (tmp_path / split / folder).mkdir(parents=True)
        (tmp_path / split / folder / "P1.txt").write_text(f"5 1 9 5 5 9 1 5 {name} 0\n")
    annotated = data.read(tmp_path, split="train").require_sound()
    assert (annotated.classes, annotated.records[0].labels.tolist()) == (("plane", "ship"), [1])


@pytest.mark.parametrize(
    ("folder", "line"), [("labelTxt", "5 1 9 5 5 9 1 5 ship 0\n"), ("annotations", "5,5,9,9,1,4,0,0\n")]
)
def test_images_of_one_stem_are_left_out(tmp_path, make_image, folder, line):
    for name in ("a.jpg", "a.png", "s/b.jpg", "b.jpg", "c.jpg"):
        make_image(tmp_path / "images" / name)
    (tmp_path / folder).mkdir()
    for stem in "abc":
        (tmp_path / folder / f"{stem}.txt").write_text(line)
    annotated = data.read(tmp_path)
    assert [record.file_name for record in annotated.records] == ["c.jpg"]
    assert [fault.file.name for fault in annotated.faults] == ["a.txt", "b.txt"]
    assert all("several images are called so" in fault.what for fault in annotated.faults)


def test_a_line_of_dota_that_is_cut_costs_its_image(tmp_path, make_image):
    make_image(tmp_path / "images" / "P1.png")
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labelTxt" / "P1.txt").write_text("5 1 9 5 5 9 1 5 ship 0\n20 20 30 20\n")
    annotated = data.read(tmp_path)
    assert annotated.records == ()
    assert "has 4 columns where DOTA has 9 or more" in annotated.faults[0].what


def test_sequences_of_visdrone(tmp_path, make_image):
    for frame in (1, 2):
        make_image(tmp_path / "VisDrone2019-VID-val" / "sequences" / "s" / f"{frame:07d}.jpg")
    text = tmp_path / "VisDrone2019-VID-val" / "annotations" / "s.txt"
    text.parent.mkdir()
    text.write_text("1,0,5,5,9,9,1,4,0,0\n2,0,5,5,9,9,1,4,0,0\n2,1,20,20,9,9,0,0,0,0\n7,0,5,5,9,9,1,4,0,0\n")
    annotated = data.read(tmp_path)
    assert (annotated.format, annotated.split) == ("visdrone", "val")
    assert counts(annotated) == [(1, 0), (2, 1)]
    assert [fault.what for fault in annotated.faults] == ["there is no image of frame 7"]


def test_images_that_count_from_0_have_the_frames_of_a_text_that_counts_from_1(tmp_path, make_image):
    for name in ("000000", "000001"):
        make_image(tmp_path / "img1" / f"{name}.jpg")
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "gt.txt").write_text("1,1,5,5,8,8,1,1,1\n2,1,7,5,8,8,1,1,1\n")
    records = data.read(tmp_path).require_sound().records
    assert [record.boxes[0, 0] for record in records] == [5, 7]


def test_sequences_of_motchallenge(tmp_path, make_image):
    for frame in (1, 2):
        make_image(tmp_path / "MOT17-02" / "img1" / f"{frame:06d}.jpg")
    text = tmp_path / "MOT17-02" / "gt" / "gt.txt"
    text.parent.mkdir()
    text.write_text("1,1,5,5,9,9,1,1,0.9\n2,1,5,5,9,9,1,1,0.9\n2,2,20,20,9,9,0,8,0.9\n")
    annotated = data.read(tmp_path).require_sound()
    assert (annotated.format, annotated.classes) == ("mot", ("pedestrian",))
    assert counts(annotated) == [(1, 0), (2, 1)]


def test_voc_in_a_folder_a_split_and_beside_the_images(tmp_path, make_image):
    for split, name in (("train", "cat"), ("valid", "dog")):
        make_image(tmp_path / split / "a.jpg")
        box = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        text = f"<annotation><filename>a.jpg</filename><object><name>{name}</name>{box}</object></annotation>"
        (tmp_path / split / "a.xml").write_text(text)
    assert data.splits(tmp_path) == ("train", "val")
    annotated = data.read(tmp_path, split="val").require_sound()
    assert (annotated.classes, annotated.records[0].labels.tolist()) == (("cat", "dog"), [1])
    assert data.read(tmp_path / "train").require_sound().classes == ("cat",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "it is empty"),
        (["x.jpg", "notes.pdf"], "there are 1 images and 1 .pdf; the nearest layout is COCO"),
        (["x.jpg", "y.txt"], "there are 1 images and 1 .txt; the nearest layout is YOLO"),
    ],
)
def test_what_lies_in_a_folder_that_is_no_data_set_is_said(tmp_path, files, message):
    for name in files:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError) as error:
        data.read(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
