import numpy as np
import pytest
from PIL import Image

from srtod.inference import explain_file
from srtod.support.errors import InputError


def test_the_figure_and_each_map_are_files(detector, tmp_path, write_image):
    path = write_image(tmp_path / "a.png", width=70, height=50)
    written = explain_file(detector, path, tmp_path / "out", truth=[[10, 10, 16, 17]], min_score=0.0)
    maps = ("difference", "input", "mask", "p2_after", "p2_before", "reconstruction")
    assert [file.name for file in written] == sorted(
        [*(f"{name}.png" for name in maps), "explain.png", "maps.npz"]
    )
    assert all(file.is_file() for file in written)
    for name in maps:
        assert Image.open(tmp_path / "out" / f"{name}.png").size == (70, 50)
    assert (np.asarray(Image.open(tmp_path / "out" / "input.png")) == np.asarray(Image.open(path))).all()


def test_the_raw_arrays_have_the_contracts_shapes(detector, tmp_path, write_image):
    explain_file(detector, write_image(tmp_path / "a.png", width=70, height=50), tmp_path / "out")
    with np.load(tmp_path / "out" / "maps.npz") as maps:
        shapes = {name: maps[name].shape for name in maps.files}
        assert maps["difference"].dtype == np.float32
    assert shapes == {
        "reconstruction": (3, 50, 70),
        "difference": (1, 50, 70),
        "mask": (1, 13, 18),
        "features_before": (16, 13, 18),
        "features_after": (16, 13, 18),
    }


def test_a_plain_detector_has_no_maps(tmp_path, write_image, plain_detector):
    path = write_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="without self-reconstruction"):
        explain_file(plain_detector, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_image_leaves_nothing_behind(detector, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"a\.png"):
        explain_file(detector, tmp_path / "a.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()
