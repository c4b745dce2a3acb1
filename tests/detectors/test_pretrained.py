"""Folders and repositories as users of the Hugging Face hub know them."""

import pytest
import torch
from safetensors import safe_open

import srtod
from srtod.support import hub
from srtod.support.errors import InputError


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return srtod.build_detector(
        "faster-rcnn", classes=("drone", "bird"), backbone="resnet10t", pyramid_channels=32, box_channels=16
    ).eval()


def same(one, other):
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_a_folder_holds_a_detector_and_its_card(detector, tmp_path):
    detector.save_pretrained(tmp_path / "repository")
    again = srtod.Detector.from_pretrained(tmp_path / "repository", score_threshold=0.3)
    assert same(detector, again) and same(detector, srtod.load(str(tmp_path / "repository")))
    assert again.config["score_threshold"] == 0.3
    card = (tmp_path / "repository" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: srtod\n") and "drone, bird" in card
    with safe_open(tmp_path / "repository" / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(detector.state_dict())


def test_a_card_that_was_filled_in_stays(detector, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    detector.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(InputError, match=r"model.safetensors: no such file of weights"):
        srtod.load(tmp_path)


class Hub:
    """Stands for the client of the hub, and keeps what it is told."""

    def __init__(self, files=()):
        self.files = dict.fromkeys(files, b"")
        self.created = []

    def create_repo(self, repository, *, private, exist_ok):
        self.created.append((repository, private, exist_ok))

    def file_exists(self, repository, name):
        return name in self.files

    def upload_folder(self, *, repo_id, folder_path, commit_message, ignore_patterns):
        for path in folder_path.iterdir():
            if path.name not in ignore_patterns:
                self.files[path.name] = path.read_bytes()
        return type("Commit", (), {"commit_url": f"hub/{repo_id}: {commit_message}"})


@pytest.mark.parametrize("there", [(), ("README.md",)])
def test_a_repository_gets_weights_and_keeps_its_card(detector, tmp_path, monkeypatch, there):
    online = Hub(there)
    monkeypatch.setattr(hub, "HfApi", lambda: online)
    monkeypatch.setattr(hub, "reach", lambda: None)
    assert detector.push_to_hub("me/drones", private=True, message="first") == "hub/me/drones: first"
    assert online.created == [("me/drones", True, True)]
    assert set(online.files) == {"README.md", "model.safetensors"}
    assert (online.files["README.md"] == b"") == bool(there)
    (tmp_path / "w.safetensors").write_bytes(online.files["model.safetensors"])
    assert same(detector, srtod.load(tmp_path / "w.safetensors"))


def test_a_hub_that_refuses_is_one_line(detector, monkeypatch):
    def refuse():
        raise ConnectionError("no answer\nmore")

    monkeypatch.setattr(hub, "reach", refuse)
    with pytest.raises(InputError, match=r"^me/drones: not put on the Hugging Face hub: no answer$"):
        detector.push_to_hub("me/drones")
