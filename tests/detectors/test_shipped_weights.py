from pathlib import Path

import pytest

import srtod
from srtod.assets import SHIPPED, SHIPPED_WEIGHTS
from srtod.cli import main as command_line
from srtod.engine.evaluate import evaluate
from srtod.engine.sets import Source, evaluation_set
from srtod.support.errors import InputError
from srtod.support.files import read_json
from srtod.swarm import synthesize

SWARM = Path(__file__).parents[3] / "shared" / "data" / "swarm"


def test_they_are_small_and_find_drones_with_self_reconstruction():
    detector = srtod.load()
    assert detector.classes == ("drone",)
    assert detector.self_reconstruction is not None


@pytest.mark.parametrize("name", SHIPPED_WEIGHTS)
def test_each_is_small_and_has_a_card_that_says_what_it_finds(name):
    file = SHIPPED_WEIGHTS[name]
    assert file.stat().st_size < 30e6
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert all(f"`{own}`" in card for own in srtod.load(name).classes)
    assert {"## Data", "## Metrics", "## Limits"} <= set(card.splitlines())


def test_their_name_means_them_even_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / SHIPPED).mkdir()
    monkeypatch.chdir(tmp_path)
    assert srtod.load(SHIPPED).classes == ("drone",)
    with pytest.raises(InputError, match="no such file of weights"):
        srtod.load(f"./{SHIPPED}")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """Scenes of cut-outs and photographs that the weights have not seen."""
    if not SWARM.is_dir():
        pytest.skip("the cut-outs are not here")
    folder = tmp_path_factory.mktemp("unseen") / "swarm"
    synthesize(
        folder,
        splits={"train": 1, "test": 6},
        size=(480, 360),
        objects_per_image=12,
        sprites=SWARM / "sprites",
        backgrounds=SWARM / "backgrounds",
        seed=99,
    )
    return folder


def test_they_find_drones_that_they_have_not_seen(unseen):
    metrics = evaluate(srtod.load(), evaluation_set(Source(unseen, "test")))
    assert metrics.to_json()["AP50"] > 0.35


def test_a_photograph_needs_no_other_word(unseen, tmp_path, monkeypatch):
    photograph = next((unseen / "test" / "JPEGImages").iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["srtod", "predict", str(photograph)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert not ended.value.code
    assert read_json(tmp_path / "found" / "detections.json")
