import torch

from srtod.boxes.coders import DeltaCoder
from srtod.inference.exporting.candidates import Candidates, best_of_level


def test_the_best_of_each_image_come_image_by_image_best_first():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 10], [40, 0, 50, 10]])
    candidates = Candidates(
        images=torch.tensor([1, 1, 1, 0, 1]),
        boxes=boxes,
        scores=torch.tensor([0.3, 0.4, 0.8, 0.6, 0.1]),
        groups=torch.zeros(5, dtype=torch.int64),
    )
    best = candidates.best(images=3, groups=2, iou=0.5, most=2)
    assert best.images.tolist() == [0, 1, 1]
    torch.testing.assert_close(best.scores, torch.tensor([0.6, 0.8, 0.4]))
    other_class = candidates._replace(groups=torch.tensor([0, 1, 0, 0, 0]))
    assert len(other_class.best(images=3, groups=2, iou=0.5, most=9).images) == 5


def test_the_best_pairs_of_a_level_are_clipped_to_their_own_image():
    logits = torch.tensor([[[0.0, 2.0], [1.0, -1.0]], [[-3.0, -2.0], [4.0, 3.0]]])
    anchors = torch.tensor([[0.0, 0, 8, 8], [4, 4, 12, 12]])
    sizes = torch.tensor([[100, 100], [10, 6]])
    best, rows = best_of_level(logits, torch.zeros(2, 2, 4), anchors, sizes, coder=DeltaCoder(), most=2)
    assert best.images.tolist() == [0, 0, 1, 1]
    assert best.groups.tolist() == [1, 0, 0, 1]
    assert rows.tolist() == [0, 1, 3, 3]
    assert best.boxes.tolist() == [[0, 0, 8, 8], [4, 4, 12, 12], [4, 4, 6, 10], [4, 4, 6, 10]]
    torch.testing.assert_close(best.scores, torch.tensor([2.0, 1, 4, 3]).sigmoid())
    every, _ = best_of_level(logits, torch.zeros(2, 2, 4), anchors, sizes, coder=DeltaCoder(), most=9)
    assert len(every.scores) == 8
