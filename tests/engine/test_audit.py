"""Doubts about labels, written for people and for labelling tools."""

import json
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from srtod.data import read
from srtod.engine.audit import audit, write_audit


class Knows:
    """Finds what a set truly shows."""

    device = torch.device("cpu")

    def __init__(self, truth):
        self.classes, self._boxes = truth.classes, iter([record.boxes for record in truth.records])

    def __call__(self, images):
        boxes = [torch.from_numpy(next(self._boxes)).float() for _ in images]
        return [
            {"boxes": own, "scores": torch.full((len(own),), 0.9), "labels": torch.zeros(len(own)).long()}
            for own in boxes
        ]


def test_what_is_dropped_and_shifted_is_told_shown_and_marked(squares, tmp_path):
    records = [
        replace(record, annotation_ids=record.annotation_ids + 10 * number)
        for number, record in enumerate(squares.records)
    ]
    records[2] = records[2].take([1, 2])
    shifted = records[1].boxes.copy()
    shifted[0] += 5
    records[1] = replace(records[1], boxes=shifted)
    wrong = replace(squares, records=tuple(records), split="val")
    annotated, doubts = audit(Knows(squares), wrong, batch_size=2, least=0.1)
    assert [doubt.kind for doubt in doubts] == ["missing", "place"]
    write_audit(tmp_path, doubts, annotated)
    missing, place = json.loads((tmp_path / "audit.json").read_text())["doubts"]
    assert missing["image_id"] == records[2].image_id and missing["label"] is None
    assert np.allclose(missing["found"]["box"], squares.records[2].boxes[0])
    assert place["label"]["annotation_id"] == records[1].annotation_ids[0] and place["confidence"] < 0.9
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 2 * 170
    corrected = read(tmp_path / "labels").records
    assert len(corrected[2].boxes) == 3
    marks = [values for record in corrected for values in record.attributes if values]
    assert [mark["audit"] for mark in marks] == ["place", "missing"]


def test_a_set_without_doubts_has_no_sheet(squares, tmp_path):
    annotated, doubts = audit(Knows(squares), squares, batch_size=2, least=0.1)
    assert doubts == []
    write_audit(tmp_path, doubts, annotated)
    assert not (tmp_path / "sheet.png").exists() and (tmp_path / "labels").is_dir()
