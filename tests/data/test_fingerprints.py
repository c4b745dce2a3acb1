import io

import numpy as np
import pytest
from PIL import Image

from srtod.data.fingerprints import NEAR, Fingerprint, alike, difference_hash


def scene(seed: int) -> np.ndarray:
    """A picture of patches that are larger than the parts of a hash, uint8 [H, W, 3]."""
    patches = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize((480, 400), Image.Resampling.BICUBIC))


def fingerprint_of(seed: int, content: bytes = b"") -> Fingerprint:
    return Fingerprint(content or str(seed).encode(), difference_hash(scene(seed)))


def distance(one: np.ndarray, other: np.ndarray) -> int:
    return int((difference_hash(one) != difference_hash(other)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_saved_smaller_and_worse_stays_near(seed):
    picture, buffer = scene(seed), io.BytesIO()
    Image.fromarray(picture).resize((384, 320)).save(buffer, "JPEG", quality=60)
    assert distance(picture, np.asarray(Image.open(buffer))) <= NEAR
    assert distance(picture, scene(seed + 100)) > NEAR


def test_an_even_picture_is_like_none():
    grey = np.full((64, 64, 3), 90, dtype=np.uint8)
    assert not difference_hash(grey).any()
    blank = Fingerprint(b"blank", difference_hash(grey))
    assert list(alike([blank], [Fingerprint(b"other", difference_hash(grey)), fingerprint_of(1)])) == []


def test_the_same_file_comes_before_a_picture_like_it():
    ours = [fingerprint_of(1), fingerprint_of(2, b"new"), fingerprint_of(3)]
    theirs = [fingerprint_of(2), fingerprint_of(1, b"new too"), fingerprint_of(1)]
    assert list(alike(ours, theirs)) == [(0, 2, True), (1, 0, False)]
    assert list(alike(ours, [])) == []


def test_more_images_than_a_block_are_compared():
    others = [fingerprint_of(seed, b"x%d" % seed) for seed in range(3)]
    ones = [fingerprint_of(9)] * 1500 + [fingerprint_of(2)]
    assert list(alike(ones, others)) == [(1500, 2, False)]
