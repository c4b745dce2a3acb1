import json
import subprocess
import sys

import pytest
from PIL import Image

from srtod.cli.main import main
from srtod.detectors.systems import SYSTEMS


@pytest.fixture
def make_set(tmp_path):
    """Writes a COCO set of one image with the given boxes and returns its folder."""

    def make(*boxes, **image):
        root = tmp_path / "set"
        (root / "images").mkdir(parents=True)
        Image.new("RGB", (64, 48)).save(root / "images" / "a.png")
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48} | image],
            "annotations": [
                {"id": number, "image_id": 1, "category_id": 1, "bbox": box}
                for number, box in enumerate(boxes, start=1)
            ],
            "categories": [{"id": 1, "name": "drone"}],
        }
        (root / "train.json").write_text(json.dumps(content))
        return root

    return make


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command line and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["srtod", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return call


def test_inspect_sound_set(run, make_set, tmp_path):
    root = make_set([1, 1, 5, 5])
    code, out, err = run("inspect", root, "--output", tmp_path / "out", "--json", tmp_path / "n.json")
    assert code == 0, err
    assert "no faults" in out
    assert "picture sheet: " in out
    assert (tmp_path / "out" / "sheet-train.png").is_file()
    (numbers,) = json.loads((tmp_path / "n.json").read_text())["splits"]
    assert (numbers["split"], numbers["objects"], numbers["faults"]) == ("train", 1, [])


def test_inspect_tells_what_a_recipe_can_never_learn(run, make_set, tmp_path):
    root = make_set([30, 20, 3, 2], [10, 10, 8, 8])
    code, out, err = run("inspect", root, "--recipe", "small", "--json", tmp_path / "n.json")
    assert code == 0, err
    assert "warning: never-assigned-box: 1 in train; smaller anchors" in out
    findings = json.loads((tmp_path / "n.json").read_text())["findings"]
    assert ("never-assigned-box", 1) in [(one["name"], one["count"]) for one in findings]
    code, out, err = run("inspect", root, "--recipe", "smal")
    assert (code, out) == (2, "")
    assert "no recipe named 'smal'" in err


def test_inspect_ends_with_what_to_do(run, make_set, tmp_path):
    root = make_set([30, 30, 12, 10])
    code, out, err = run("inspect", root, "--json", tmp_path / "n.json")
    assert code == 0, err
    assert "  resize: 2\n" in out
    assert out.rstrip().endswith("predict on whole images, without --slice")
    advice = json.loads((tmp_path / "n.json").read_text())["advice"]
    assert advice["split"] == "train"
    assert {setting["key"] for setting in advice["settings"]} >= {"model.anchor_scale", "train.batch_size"}
    assert {name for one in advice["systems"] for name in one["systems"]} == set(SYSTEMS)


def test_inspect_says_what_a_known_set_lacks(run, tmp_path):
    folder = tmp_path / "VisDrone2019-DET-val"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(folder / "images" / "a.jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "a.txt").write_text("1,1,5,5,1,4,0,0\n9,9,9,9,0,0,0,0\n")
    code, out, err = run("inspect", tmp_path, "--json", tmp_path / "n.json")
    assert code == 0, err
    assert "VisDrone2019-DET val: 547 fewer images and 38,758 fewer objects than published" in out
    content = json.loads((tmp_path / "n.json").read_text())
    assert content["splits"][0]["published"]["published_images"] == 548
    assert content["published"] is None


@pytest.mark.parametrize(
    ("boxes", "image", "message"),
    [
        ([[1, 1, 5, 5], [1, 1, 0, 5]], {}, "image 1, annotation 2: box (x 1, y 1, width 0"),
        ([[1, 1, 5, 5], [1, 1, float("nan"), 5]], {}, "annotation 2: bbox"),
        ([[1, 1, 5, 5], [99, 1, 5, 5]], {}, "lies outside the image"),
        ([], {}, "no annotations at all"),
        ([[1, 1, 5, 5]], {"file_name": "b.png"}, "missing image 'b.png'"),
        ([[1, 1, 5, 5]], {"file_name": "../outside.png"}, "outside.png"),
        ([[1, 1, 5, 5]], {"width": 32}, "the image is 64 x 48 pixels, its annotations say 32 x 48"),
    ],
)
def test_faults_are_listed_and_the_exit_code_is_2(run, make_set, tmp_path, boxes, image, message):
    root = make_set(*boxes, **image)
    code, out, _ = run("inspect", root, "--json", tmp_path / "n.json")
    assert code == 2
    assert message in out
    assert json.loads((tmp_path / "n.json").read_text())["splits"][0]["faults"]
    code, _, err = run("convert", root, tmp_path / "target", "--to", "yolo")
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "target").exists()


def test_what_cannot_be_read_at_all(run, tmp_path):
    (tmp_path / "train.json").write_text("{")
    code, out, err = run("inspect", tmp_path / "train.json")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / 'train.json'}: not valid JSON at line 1")
    code, _, err = run("inspect", tmp_path / "none")
    assert code == 2
    assert "no such file or folder" in err


def test_output_in_the_way_of_a_file(run, make_set, tmp_path):
    (tmp_path / "out").write_text("a file")
    code, _, err = run("inspect", make_set([1, 1, 5, 5]), "--output", tmp_path / "out")
    assert code == 2
    assert "cannot be written" in err
    assert (tmp_path / "out").read_text() == "a file"


def test_inspect_replaces_nothing_unasked_and_the_set_never(run, make_set, tmp_path):
    root = make_set([1, 1, 5, 5])
    truth = next(root.glob("*.json"))
    before = truth.read_text()
    for options in (("--json", truth), ("--json", truth, "--overwrite")):
        assert run("inspect", root, *options)[0] == 2
    assert truth.read_text() == before
    assert run("inspect", root, "--output", tmp_path / "look")[0] == 0
    code, _, err = run("inspect", root, "--output", tmp_path / "look")
    assert code == 2 and "exists; choose another name, or replace it with --overwrite" in err
    assert run("inspect", root, "--output", tmp_path / "look", "--overwrite")[0] == 0


def test_fix_lists_every_change_with_its_count(run, make_set, tmp_path):
    root = make_set([1, 1, 5, 5], [1, 1, -5, 5], [62, 1, 9, 5], [63, 1, 9, 5])
    code, out, err = run("fix", root, tmp_path / "copy")
    assert code == 0, err
    assert f"{tmp_path / 'copy'}: train: 1 images, 3 boxes and 1 regions to ignore (coco)" in out
    assert f"box-across-edge: 2 in train: clips them; {root / 'train.json'}, image 1, annotation 3: " in out
    assert "box-without-size: 1 in train: makes regions to ignore of them; " in out
    assert out.splitlines()[-1] == f"changes: 2 kinds, all cases in {tmp_path / 'copy' / 'changes.json'}"
    code, out, _ = run("inspect", tmp_path / "copy")
    assert code == 0 and "no faults" in out
    code, _, err = run("fix", root, tmp_path / "copy")
    assert code == 2 and err.count("\n") == 1
    code, out, _ = run("fix", tmp_path / "copy", tmp_path / "again", "--to", "voc", "--link")
    assert code == 0 and "nothing to change" in out


def test_convert_lists_what_is_lost(run, make_set, tmp_path):
    code, out, err = run("convert", make_set([1, 1, 5.5, 5]), tmp_path / "target", "--to", "visdrone")
    assert code == 0, err
    assert f"{tmp_path / 'target'}: train: 1 images, 1 boxes" in out
    assert "visdrone cannot hold exact coordinates (rounded to whole pixels): 1" in out
    code, out, _ = run("inspect", tmp_path / "target")
    assert code == 0


def test_convert_goes_on_without_what_is_damaged(run, make_set, tmp_path):
    root = make_set([1, 1, 5, 5], [1, 1, -5, 5])
    code, out, _ = run("convert", root, tmp_path / "target", "--to", "voc", "--skip-bad", "--link")
    assert code == 0
    assert f"{tmp_path / 'target'}: train: 1 images, 1 boxes and 1 regions to ignore" in out
    assert "left out or clipped: " in out
    assert (tmp_path / "target" / "JPEGImages" / "a.png").samefile(root / "images" / "a.png")


def test_convert_tells_the_split_of_which_nothing_is_left(run, make_set, tmp_path):
    root = make_set([1, 1, 5, 5])
    val = json.loads((root / "train.json").read_text())
    (root / "images" / "b.png").write_bytes(b"\xff\xd8\xff")
    val["images"][0]["file_name"] = "b.png"
    (root / "val.json").write_text(json.dumps(val))
    code, out, err = run("convert", root, tmp_path / "target", "--to", "voc", "--skip-bad")
    assert code == 0, err
    assert f"{tmp_path / 'target'}: train: 1 images, 1 boxes\n" in out
    assert "val: 0 images, 0 boxes, not written: none of its images is sound" in out
    assert "left out or clipped: " in out and "b.png, image 1: " in out


def test_bad_arguments(run, make_set, tmp_path):
    code, _, err = run("convert", make_set([1, 1, 5, 5]), tmp_path / "target", "--to", "yollo")
    assert code == 2
    assert "'yollo' is not one of" in err
    assert run("convert", tmp_path)[0] == 2


@pytest.mark.parametrize("verb", ["inspect", "convert", "split"])
def test_help_as_a_process(verb):
    done = subprocess.run(
        [sys.executable, "-m", "srtod.cli.main", "data", verb, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "--format" in done.stdout


ODD = [
    ({}, {"score": float("nan")}, "JSON holds no NaN or infinite numbers"),
    ({}, {"area": float("inf")}, None),
    ({}, {"area": int("9" * 400)}, None),
    ({}, {"note": "\ud800"}, "surrogates not allowed"),
    ({"name": "\ud800"}, {}, "surrogates not allowed"),
    ({"name": "a\nb"}, {}, None),
    ({"name": "x[/red]"}, {}, None),
    ({"name": "n" * 100_000}, {}, None),
]


@pytest.mark.parametrize(("category", "annotation", "refusal"), ODD)
def test_odd_names_and_numbers_are_shown_and_converted_or_refused_in_a_line(
    category, annotation, refusal, tmp_path, monkeypatch, capsys
):
    (tmp_path / "set" / "images").mkdir(parents=True)
    Image.new("RGB", (60, 50)).save(tmp_path / "set" / "images" / "a.png")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 50}],
        "categories": [{"id": 1, "name": "d"} | category],
        "annotations": [box | annotation],
    }
    (tmp_path / "set" / "train.json").write_text(json.dumps(content))
    for arguments in (
        ("inspect", tmp_path / "set", "--output", tmp_path / "look"),
        ("convert", tmp_path / "set", tmp_path / "new", "--to", "coco"),
    ):
        monkeypatch.setattr(sys, "argv", ["srtod", "data", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        error = capsys.readouterr().err
        if arguments[0] == "convert" and refusal:
            assert stop.value.code == 2 and refusal in error and len(error.splitlines()) == 1
        else:
            assert not stop.value.code, error


def test_audit_writes_what_is_in_doubt(small_weights, tmp_path, monkeypatch, capsys):
    (tmp_path / "set" / "images").mkdir(parents=True)
    Image.new("RGB", (60, 50)).save(tmp_path / "set" / "images" / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 50}],
        "categories": [{"id": 1, "name": "drone"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
        ],
    }
    (tmp_path / "set" / "val.json").write_text(json.dumps(content))
    words = ["audit", tmp_path / "set", tmp_path / "doubts", "--weights", small_weights / "plain.safetensors"]
    monkeypatch.setattr(sys, "argv", ["srtod", "data", *map(str, words), "--least", "0", "--device", "cpu"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "labels in doubt: " in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "doubts").iterdir()} == {"audit.json", "sheet.png", "labels"}
