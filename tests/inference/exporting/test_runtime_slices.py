"""The runtime without torch cuts images into the windows of srtod, and merges what they show alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import srtod_runtime
from srtod.boxes.merging import Sightings, merge_sightings
from srtod.inference.slices import Slicing
from srtod_runtime import slices

lengths, sides, overlaps = st.integers(1, 700), st.integers(32, 200), st.floats(0, 0.9)


@given(lengths, lengths, sides, overlaps)
def test_windows_are_those_of_srtod(width, height, side, overlap):
    expected = Slicing(side, overlap).windows((width, height))
    assert slices.plan((width, height), side, overlap) == [tuple(window) for window in expected]


def scene(chance, size, windows, count, largest):
    """What windows show of objects: cut at their borders, shifted a little, and now and then missed."""
    corners = chance.uniform(0, size, (count, 2))
    objects = np.concatenate([corners, corners + chance.uniform(2, largest, (count, 2))], axis=1)
    objects, labels = np.minimum(objects, np.array(size * 2)), chance.integers(0, 2, count)
    for left, top, right, bottom in windows:
        slipped = objects + chance.uniform(-1, 1, (count, 4)) * (chance.random((count, 1)) < 0.5)
        boxes = np.clip(slipped, (left, top) * 2, (right, bottom) * 2) - (left, top, left, top)
        shown = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (chance.random(count) < 0.9)
        scores = chance.integers(1, 20, count)[shown] / 20  # many are equal
        yield boxes[shown].astype(np.float32), scores.astype(np.float32), labels[shown]


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1), lengths, lengths, sides, overlaps, st.integers(0, 60), st.integers(3, 300))
def test_what_windows_show_is_merged_as_by_srtod(seed, width, height, side, overlap, count, largest):
    size, chance = (width, height), np.random.default_rng(seed)
    windows = slices.plan(size, side, max(overlap, 0.05))[:40]
    shown = scene(chance, size, windows, count, largest)
    parts = [slices.seen_through(own, size, *seen) for own, seen in zip(windows, shown, strict=True)]
    found = slices.merged(parts)
    given = (torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True))
    expected = merge_sightings(Sightings(*given))
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name).numpy())


def test_pairs_are_the_same_however_many_are_compared_at_once(monkeypatch):
    chance = np.random.default_rng(0)
    corners = chance.uniform(0, 100, (300, 2)).astype(np.float32)
    boxes, groups = np.concatenate([corners, corners + 8], axis=1), chance.integers(0, 3, 300)
    at_once = slices.overlapping_pairs(boxes, groups)
    monkeypatch.setattr(slices, "MOST_AT_ONCE", 50)
    assert np.array_equal(slices.overlapping_pairs(boxes, groups), at_once)
    assert at_once.shape[1] > 300


@pytest.mark.parametrize(("side", "overlap", "message"), [(31, 0.2, "at least 32"), (64, 0.95, "0 to 0.9")])
def test_windows_out_of_range_are_refused(side, overlap, message):
    with pytest.raises(srtod_runtime.InputError, match=message):
        slices.plan((100, 100), side, overlap)
