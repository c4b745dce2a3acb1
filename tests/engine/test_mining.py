"""Pieces laid around what the detector took for an object."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from srtod.data.dataset import FALSE_ALARMS, DetectionDataset
from srtod.engine import fit as fit_module
from srtod.engine.fit import fit
from srtod.engine.mining import LEAST_SCORE, false_alarms
from srtod.results import SetDetections
from srtod.support.errors import InputError

PIECES = ("data.crop=32", "data.crop_on_objects=0", "train.epochs=3")
MINED = (*PIECES, "data.mine_every=1")
NO_PLACE = float("nan")


def test_confident_detections_that_touch_nothing_annotated_are_the_false_alarms(squares):
    boxes = np.array([[10.0, 10, 20, 20], [40, 40, 60, 60]])
    marked = replace(squares.records[1], boxes=boxes, labels=np.zeros(2, int), ignore=np.array([False, True]))
    dataset = DetectionDataset([squares.records[0], marked], classes=squares.classes)
    in_both = [[2, 2, 4, 4], [19, 19, 22, 22], [50, 50, 52, 52], [30, 30, 32, 32]]
    scores = [0.9, 0.8, 0.7, LEAST_SCORE / 2]
    found = SetDetections(
        images=np.repeat([0, 1], 4),
        boxes=np.array([*in_both, *in_both], np.float32),
        scores=np.array([*scores, *scores], np.float32),
        labels=np.zeros(8, np.int64),
    )
    alarms = false_alarms(found, dataset)
    assert alarms.shape == (2, FALSE_ALARMS, 4)
    kept = [own[own[:, 0].isfinite()].tolist() for own in alarms]
    assert kept == [in_both[:3], in_both[:1]]  # nothing is marked in the first image


def test_no_more_are_kept_than_there_is_room_for(squares):
    many = FALSE_ALARMS + 3
    found = SetDetections(
        images=np.zeros(many, np.int64),
        boxes=np.tile(np.array([2, 2, 4, 4], np.float32), (many, 1)),
        scores=np.ones(many, np.float32),
        labels=np.zeros(many, np.int64),
    )
    dataset = DetectionDataset(squares.records, classes=squares.classes)
    assert false_alarms(found, dataset)[0].isfinite().all()


@pytest.fixture
def train(tiny_recipe, squares, tmp_path, monkeypatch):
    """Train, with one false alarm in the middle of each image and a kill after ``last`` looks."""

    def run(name, *changes, last=100, **options):
        looks = []

        def mine(run, dataset, **_):
            if len(looks) == last:
                raise KeyboardInterrupt
            looks.append(run.step)
            places = torch.full((len(dataset), FALSE_ALARMS, 4), NO_PLACE)
            places[:, 0] = torch.tensor([30.0, 30, 33, 33])
            return places

        monkeypatch.setattr(fit_module, "mine", mine)
        fit(tiny_recipe(*changes), squares, None, tmp_path / name, device="cpu", quiet=True, **options)
        return load_file(tmp_path / name / "last.safetensors"), looks

    return run


def same(one, other):
    return all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize("workers", [0, 1])
def test_pieces_are_laid_there_from_the_next_epoch_on(train, workers):
    reading = f"train.workers={workers}"
    plain, looks = train("plain", *PIECES, reading)
    assert not looks
    mined, looks = train("mined", *MINED, reading)
    assert looks == [3, 6]  # not after the last epoch
    assert not same(plain, mined)


def test_an_interrupted_run_goes_on_with_what_was_mined(train):
    undisturbed, _ = train("undisturbed", *MINED)
    with pytest.raises(KeyboardInterrupt):
        train("interrupted", *MINED, last=1)
    resumed, looks = train("interrupted", *MINED, resume=True)
    assert looks == [6]
    assert same(undisturbed, resumed)


def test_a_detector_looks_at_the_images_that_it_learns_from(tiny_recipe, squares, tmp_path, capsys):
    recipe = tiny_recipe(*MINED, "train.epochs=2", "train.ema=null")
    fit(recipe, squares, None, tmp_path / "run", device="cpu")
    assert re.search(
        r"mined: \d+ false alarms of at least 0\.3, in \d of 6 training images", capsys.readouterr().err
    )


def test_without_pieces_there_is_nothing_to_lay(tiny_recipe):
    with pytest.raises(InputError, match="mine_every is about where pieces are laid"):
        tiny_recipe("data.mine_every=1")
