import time

import pytest

import srtod
from srtod.support import hub
from srtod.support.errors import InputError


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there


def refused(name):
    with pytest.raises(InputError) as error:
        srtod.load(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_internet_a_repository_is_one_line_and_no_wait(monkeypatch, capfd):
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited to try again"))
    assert "no/file: no such file, and the Hugging Face hub gives no model.safetensors" in refused("no/file")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["no/file.safetensors", "{0}/file", "file", "a/b/c"])
def test_what_looks_like_a_path_is_not_looked_up(name, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "newest", lambda *_: pytest.fail("looked up"))
    monkeypatch.chdir(tmp_path.parent)
    assert "no such file of weights" in refused(name.format(tmp_path.name))


def test_the_name_of_a_repository_may_have_a_dot(monkeypatch, tmp_path):
    srtod.build_detector("retinanet", num_classes=1, backbone="test_resnet").save(tmp_path / "x.safetensors")
    monkeypatch.setattr(hub, "newest", lambda name, _: {"acme/drones-v1.5": tmp_path / "x.safetensors"}[name])
    assert srtod.load("acme/drones-v1.5").classes == ("class 0",)


def test_without_internet_an_earlier_download_is_taken(monkeypatch, tmp_path):
    detector = srtod.build_detector("retinanet", num_classes=1, backbone="test_resnet")
    detector.save(tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda _, file: str(tmp_path / file))
    assert srtod.load("owner/name").config == detector.config


def test_with_internet_the_newest_version_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "reach", lambda: None)
    monkeypatch.setattr(hub, "hf_hub_download", lambda name, file: str(tmp_path / name / file))
    assert hub.newest("owner/name", "file") == tmp_path / "owner/name/file"
