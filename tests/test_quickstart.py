import json

import pytest

from srtod.quickstart import Scale, quickstart
from srtod.support.errors import InputError


def test_the_whole_road_at_the_smallest_scale(tmp_path):
    scale = Scale(train_images=4, test_images=2, side=96, objects=6)
    told = quickstart(tmp_path / "out", scale=scale, device="cpu", overrides=["train.epochs=1"])
    report = (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == told
    assert 0 <= told["AP50"] <= 1
    assert set(told["seconds"]) == {"synthesize", "train", "evaluate", "report"}
    assert report.count("data:image/webp") >= 3
    assert "://" not in report.replace("http://www.w3.org", "")
    assert (tmp_path / "out" / "run" / "last.safetensors").exists()
    with pytest.raises(InputError, match="not an empty folder"):
        quickstart(tmp_path / "out", scale=scale)
