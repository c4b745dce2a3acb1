"""Files of weights, and what earlier versions wrote."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import srtod
from srtod.detectors.systems import SYSTEMS
from srtod.detectors.weights import described, description, weights_file, write_weights
from srtod.recipes import load_recipe
from srtod.support.errors import InputError
from srtod.support.files import write_text

WRITTEN_BY_0_3 = Path(__file__).with_name("written_by_0_3")


def test_files_with_the_options_of_all_systems_still_load(tmp_path):
    path = WRITTEN_BY_0_3 / "retinanet.safetensors"
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


def test_what_a_kill_leaves_of_a_file_is_removed_by_the_next(tmp_path):
    code = """
import os, sys
from pathlib import Path
from srtod.detectors import weights
def killed(tensors, path, metadata):
    Path(path).with_name(".tmpAbCdEf").touch()
    os._exit(9)
weights.save_file = killed
weights._write(Path(sys.argv[1]), {}, {})
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "w.safetensors"], check=False)
    assert run.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    write_text(tmp_path / "w.json", "")
    assert [path.name for path in tmp_path.iterdir()] == ["w.json"]


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


def test_weights_never_replace_a_file_unasked(tmp_path):
    detector = srtod.build_detector("retinanet", classes=("a",), backbone="test_resnet", pyramid_channels=16)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"mine")
    for save in (lambda: detector.save(path), lambda: detector.save_pretrained(tmp_path)):
        with pytest.raises(InputError, match="exists; choose another name"):
            save()
    assert path.read_bytes() == b"mine"
    detector.save_pretrained(tmp_path, overwrite=True)
    assert srtod.load(path).classes == ("a",)


def test_a_sound_file_may_begin_like_a_pickle(tmp_path):
    detector = srtod.build_detector("retinanet", classes=("a",), backbone="test_resnet", pyramid_channels=16)
    for letters in range(1, 400):  # until the length of the header, the first number of a file, fits
        detector._config = detector._config.model_copy(update={"classes": ("a" * letters,)})
        detector.save(tmp_path / "w.safetensors", overwrite=True)
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


def saved(folder, *, config=None, change=None):
    """A file of weights with another configuration, or with tensors of another kind."""
    path = folder / "w.safetensors"
    detector = srtod.build_detector("retinanet", classes=("a",), backbone="test_resnet", pyramid_channels=16)
    detector.save(path)
    state, metadata = load_file(path), {"srtod": description(detector.config | (config or {}))}
    save_file({key: (change or (lambda value: value))(value) for key, value in state.items()}, path, metadata)
    return path


@pytest.mark.parametrize("channels", [30_000, 10**9, 10**20])
def test_a_configuration_is_compared_before_anything_is_allocated(channels, tmp_path):
    resource = pytest.importorskip("resource")  # Linux and macOS
    path = saved(tmp_path, config={"pyramid_channels": channels})
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    try:
        with pytest.raises(InputError, match=r"w\.safetensors: its weights do not fit its configuration"):
            srtod.load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"resize": [200_000, 200_000]}, "resize.0: input should be less than or equal to 8192"),
        ({"classes": ["\ud800"]}, r"'\\ud800' is no name"),
        ({"classes": ["two\nlines"]}, r"'two\\nlines' is no name"),
        ({"classes": ["a" * 501]}, "is no name"),
    ],
)
def test_absurd_configurations_are_refused(config, message, tmp_path):
    with pytest.raises(InputError, match=message):
        srtod.load(saved(tmp_path, config=config))


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"a":' * 100_000])
def test_deeply_nested_metadata_are_damage(nested, tmp_path):
    with pytest.raises(InputError, match="its srtod configuration is damaged"):
        described(nested, where=tmp_path / "w.safetensors")


def test_a_system_that_is_no_name_is_damage(tmp_path):
    with pytest.raises(InputError, match="its srtod configuration is damaged"):
        described('{"version": "0.5.0", "config": {"system": ["a"]}}', where=tmp_path / "w.safetensors")


def test_a_release_candidate_is_a_version(tmp_path):
    text = '{"version": "0.5rc1", "config": {"system": "retinanet", "classes": ["a"]}}'
    assert described(text, where=tmp_path / "w.safetensors").system == "retinanet"


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_weights_of_another_kind_of_numbers_are_refused(kind, tmp_path):
    with pytest.raises(InputError, match=r"holds numbers of the kind .*; weights are F16, BF16, F32, F64"):
        srtod.load(saved(tmp_path, change=lambda value: value.to(kind)))


def test_weights_that_lead_to_no_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match="gives numbers that are not finite or absurdly large"):
        srtod.load(saved(tmp_path, change=lambda value: value * 1e30 if value.is_floating_point() else value))
