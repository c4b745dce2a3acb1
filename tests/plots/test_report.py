import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from srtod.plots import Plate, Report, Step, curves_figure, write_report
from srtod.support.errors import InputError

VOID = {"meta", "img", "br"}
METRICS = {
    "AP": 0.213,
    "AP50": 0.584,
    "AP75": 0.1,
    "APvt": 0.12,
    "APt": 0.3,
    "APs": 0.4,
    "APm": -1.0,
    "AR": 0.38,
}


class Outline(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(tmp_path, **parts):
    path = tmp_path / "report.html"
    write_report(path, Report(**parts))
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    assert outline.open == []
    return outline, path.read_text(encoding="utf-8")


def full():
    picture = Image.new("RGB", (60, 40), (10, 200, 30))
    return {
        "title": "a run <script>alert(1)</script>",
        "summary": ["first & second"],
        "facts": {"seed": "0", "data": "<b>drones</b>"},
        "metrics": METRICS,
        "curves": curves_figure([{"step": 1, "loss": 1.0}], []),
        "detections": [Plate(picture, 'a "quoted" caption')],
        "maps": [Plate(picture, "maps")],
        "steps": [Step("train", "srtod train DATA --set 'a=<b>'")],
    }


def test_the_page_holds_everything_and_loads_nothing(tmp_path):
    outline, text = page(tmp_path, **full())
    assert "script" not in outline.tags and "link" not in outline.tags
    sources = [value for name, value in outline.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/", "#")) for value in sources)
    assert "://" not in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    targets = {value for name, value in outline.attributes if name == "id"}
    assert {value[1:] for value in sources if value.startswith("#")} == targets


def test_text_is_escaped(tmp_path):
    outline, text = page(tmp_path, **full())
    assert "<script>" not in text and "<b>drones" not in text
    assert "a run <script>alert(1)</script>" in outline.text
    assert "<b>drones</b>" in outline.text


def test_pictures_come_out_as_they_went_in(tmp_path):
    _, text = page(tmp_path, **full())
    encoded = re.findall(r'src="data:image/webp;base64,([^"]+)"', text)
    assert len(encoded) == 3
    sizes = [Image.open(io.BytesIO(base64.b64decode(data))).size for data in encoded]
    assert sizes[1:] == [(60, 40), (60, 40)]


def test_metrics_are_of_100_and_missing_ones_are_said(tmp_path):
    outline, _ = page(tmp_path, **full())
    assert "58.4" in outline.text and "21.3" in outline.text
    assert any("There were no such objects." in text for text in outline.text)


def test_empty_parts_are_left_out(tmp_path):
    outline, _ = page(tmp_path, title="nothing yet")
    assert "h2" not in outline.tags and "img" not in outline.tags


def test_an_unwritable_place_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", Report(title="x"))
