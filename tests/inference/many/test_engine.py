"""What goes to the workers: which file, and which part of the machine."""

from pathlib import Path

import pytest

from srtod.inference.many import engine
from srtod.inference.many.engine import predict_with_ray
from srtod.support import hub
from srtod.support.errors import InputError


@pytest.fixture
def asked(tmp_path, write_image, sees_all, monkeypatch):
    """What the plan says of weights, and the file that is loaded for them."""
    write_image(tmp_path / "in" / "a.png")
    plans, loaded = [], []

    def load_finder(path, **_):
        loaded.append(path)
        return sees_all()

    monkeypatch.setattr(engine, "load_finder", load_finder)
    monkeypatch.setattr(engine, "predict_many", lambda *_, asked, **__: plans.append(asked["weights"]))

    def ask(weights, **options):
        predict_with_ray([str(tmp_path / "in")], tmp_path / "out", weights=weights, **options)
        return plans[-1], loaded[-1]

    return ask


def test_weights_are_told_by_the_content_of_their_file(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {"folder": hub.WEIGHTS, "hub": hub.WEIGHTS, ".": "w.safetensors", "exported": "w.onnx"}
    for folder, name in files.items():
        Path(folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("weights")
    monkeypatch.setattr(hub, "newest", lambda _, file: Path("hub") / file)
    given = {
        "folder": tmp_path / "folder" / hub.WEIGHTS,
        "owner/name": tmp_path / "hub" / hub.WEIGHTS,
        "w.safetensors": tmp_path / "w.safetensors",
        "exported/w.onnx": tmp_path / "exported" / "w.onnx",
    }
    told = {weights: asked(weights) for weights in given}
    assert {weights: path for weights, (_, path) in told.items()} == given
    assert len({digest for digest, _ in told.values()}) == 1
    (tmp_path / "hub" / hub.WEIGHTS).write_text("newer weights")
    assert asked("owner/name")[0] != told["owner/name"][0]


def test_a_gpu_cannot_be_chosen_by_its_number(asked):
    with pytest.raises(InputError, match=r"device 'cuda:1': .*choose among GPUs with CUDA_VISIBLE_DEVICES"):
        asked("w.safetensors", device="cuda:1")


@pytest.mark.parametrize(
    ("workers", "gpus", "share"),
    [(1, 0, (16, 0)), (3, 0, (5, 0)), (40, 0, (1, 0)), (1, 2, (16, 1)), (3, 2, (5, 0.5)), (4, 1, (4, 0.25))],
)
def test_workers_divide_the_machine(monkeypatch, workers, gpus, share):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert engine._share(workers, on_gpu=gpus > 0, alone=True) == share
    assert engine._share(workers, on_gpu=gpus > 0, alone=False) == (1, gpus > 0)
