"""Files of weights, and what earlier versions wrote."""

import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import srtod
from srtod.assets import shipped_weights
from srtod.detectors.systems import SYSTEMS
from srtod.detectors.weights import weights_file, write_weights
from srtod.recipes import load_recipe
from srtod.support.errors import InputError

WRITTEN_BY_0_3 = Path(__file__).with_name("written_by_0_3")


@pytest.mark.parametrize("path", [WRITTEN_BY_0_3 / "retinanet.safetensors", shipped_weights()])
def test_files_with_the_options_of_all_systems_still_load(path, tmp_path):
    with safe_open(path, framework="pt") as file:
        assert "level_candidates" in file.metadata()["srtod"]
        assert "rpn_proposals" in file.metadata()["srtod"]
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    detector = srtod.load(path)
    assert list(detector.config) == list(SYSTEMS[detector.config["system"]].model_fields)
    for key, value in detector.state_dict().items():
        assert torch.equal(value, weights[key].float().view_as(value))
    detector.save(tmp_path / "again.safetensors")
    assert srtod.load(tmp_path / "again.safetensors").config == detector.config


def test_their_options_are_what_they_were():
    detector = srtod.load(WRITTEN_BY_0_3 / "retinanet.safetensors")
    assert detector.classes == ("drone", "bird")
    assert detector.config["self_reconstruction"]["threshold"] == 0.2
    given = {
        "system": "retinanet",
        "pyramid_channels": 8,
        "detections_per_image": 5,
        "level_candidates": None,
    }
    assert given.items() <= detector.config.items()


def test_the_recipe_of_an_earlier_run_still_loads():
    earlier, now = load_recipe(WRITTEN_BY_0_3 / "config.yaml"), load_recipe("droneswarms-retinanet")
    assert (earlier.model, earlier.data) == (now.model, now.data)
    assert earlier.train == now.train.model_copy(update={"workers": 2})  # written out, as all defaults were


def test_a_file_is_written_without_a_second_copy_of_the_weights(tmp_path):
    config = SYSTEMS["retinanet"](classes=("drone",))
    tracemalloc.start()
    write_weights(tmp_path / "w.safetensors", {"a": torch.zeros(4_000_000)}, config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "w.safetensors").stat().st_size > 16e6
    assert peak < 1e6


def test_a_full_disk_is_one_line_and_leaves_the_former_file(tmp_path):
    resource = pytest.importorskip("resource")  # Linux and macOS
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"former")
    config = SYSTEMS["retinanet"](classes=("drone",))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"w\.safetensors: cannot be written: File too large"):
            write_weights(path, {"a": torch.zeros(10_000)}, config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_than_weights_are_named(tmp_path):
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(2)}}, tmp_path / "epoch_12.pth")
    with pytest.raises(InputError, match=r"epoch_12\.pth: a checkpoint of PyTorch, .*srtod\.load_mmdet"):
        srtod.load(tmp_path / "epoch_12.pth")
    (tmp_path / "a.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(InputError, match=r"a\.safetensors: a pointer of Git LFS, not the file itself"):
        srtod.load(tmp_path / "a.safetensors")


def test_a_sound_file_may_begin_like_a_pickle(tmp_path):
    detector = srtod.build_detector("retinanet", classes=("a",), backbone="test_resnet", pyramid_channels=16)
    for letters in range(1, 400):  # until the length of the header, the first number of a file, fits
        detector._config = detector._config.model_copy(update={"classes": ("a" * letters,)})
        detector.save(tmp_path / "w.safetensors")
        if (tmp_path / "w.safetensors").read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no header of such a length")
    assert srtod.load(tmp_path / "w.safetensors").classes == ("a" * letters,)


@pytest.mark.parametrize("names", [("best", "last"), ("last",)])
def test_the_folder_of_a_run_stands_for_its_weights(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.safetensors").touch()
    assert weights_file(str(tmp_path)) == tmp_path / f"{names[0]}.safetensors"
