"""Letters of any script."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from srtod.plots import palette
from srtod.plots.palette import font


def drawn(text):
    picture = Image.new("RGB", (260, 40))
    ImageDraw.Draw(picture).text((2, 2), text, font=font(20), fill="white")
    return np.asarray(picture)


@pytest.mark.parametrize("names", [("缺陷", "汽车"), ("무인기", "새"), ("дрон", "птица"), ("طائرة", "طير")])
def test_names_in_other_scripts_are_told_apart(names):
    assert not np.array_equal(*map(drawn, names))


def test_letters_that_no_font_has_are_written_as_numbers(monkeypatch):
    monkeypatch.setattr(palette, "_others", tuple)
    assert np.array_equal(drawn("缺 a"), drawn("\\u7f3a a"))
    assert font(20).getlength("缺") == font(20).getlength("\\u7f3a")


def test_a_font_of_the_extra_has_the_letters_of_chinese():
    pytest.importorskip("noto_cjk_sans_jp_regular")
    assert font(20).getlength("缺陷") == pytest.approx(40, abs=1)
