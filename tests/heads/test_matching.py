import torch

from srtod.boxes.assigners.atss import ATSSAssigner
from srtod.boxes.assigners.base import BACKGROUND, IGNORED
from srtod.boxes.assigners.hierarchical import HierarchicalAssigner
from srtod.boxes.assigners.max_iou import MaxIoUAssigner
from srtod.boxes.references import References
from srtod.boxes.samplers import RandomSampler
from srtod.heads.matching import match, matched
from srtod.types import Truth

NOTHING = torch.zeros(0, 4)
BOXES = torch.tensor([[0.0, 0, 10, 10], [6, 0, 16, 10], [4, 0, 14, 10], [30, 30, 40, 40]])
MAX_IOU = MaxIoUAssigner(positive_iou=0.5, negative_iou=0.5)


def truth(objects=NOTHING, regions=NOTHING, seed=None):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return Truth(objects, torch.zeros(len(objects), dtype=torch.int64), regions, generator)


def test_regions_to_ignore_hide_background_but_not_objects():
    region = BOXES[:1]
    hidden = match([BOXES], truth(regions=region), assigner=MAX_IOU)
    assert hidden.assigned.tolist() == [IGNORED, BACKGROUND, IGNORED, BACKGROUND]
    assert match([BOXES], truth(BOXES[:1], region), assigner=MAX_IOU).assigned[0] == 0
    strict = match([BOXES], truth(regions=region), assigner=MAX_IOU, ignore_iof=0.3)
    assert strict.assigned.tolist() == [IGNORED, IGNORED, IGNORED, BACKGROUND]


def test_boxes_that_take_no_part_claim_no_object():
    claiming = MaxIoUAssigner(positive_iou=0.9, negative_iou=0.5, minimum_iou=0.1, match_low_quality=True)
    valid = torch.tensor([False, True, True, True])
    for assigner in (claiming, HierarchicalAssigner(first_round=1, negative_score=1.0)):
        assert match([BOXES], truth(BOXES[:1]), assigner=assigner).assigned[0] == 0
        found = match(References([BOXES], valid=valid), truth(BOXES[:1]), assigner=assigner)
        assert found.assigned[0] == IGNORED
        assert (found.assigned == 0).nonzero().tolist() == [[2]]


def test_fewer_valid_boxes_than_an_object_takes_are_all_taken():
    found = match(
        References([BOXES], valid=torch.tensor([True] + [False] * 3)),
        truth(BOXES[:1]),
        assigner=HierarchicalAssigner(),
    )
    assert found.assigned.tolist() == [0, IGNORED, IGNORED, IGNORED]


def test_the_rows_of_an_image_are_matched_as_if_it_were_alone(random_levels):
    levels, objects = random_levels
    rows = [torch.arange(0, 200, 2), torch.arange(200, 240)]
    own = [levels[0][::2], levels[1]]
    for assigner in (ATSSAssigner(), MAX_IOU, HierarchicalAssigner()):
        sampler = RandomSampler(20, 0.5)
        alone = match(own, truth(objects, seed=3), assigner=assigner, sampler=sampler)
        padded = match(
            References(levels, rows=rows), truth(objects, seed=3), assigner=assigner, sampler=sampler
        )
        assert torch.equal(padded.rows, torch.cat(rows)[alone.rows])
        assert torch.equal(padded.assigned, alone.assigned)


def test_values_of_matched_objects_are_zero_where_there_is_none():
    assigned = torch.tensor([[1, BACKGROUND], [IGNORED, 0]])
    assert matched(torch.tensor([5, 7]), assigned).tolist() == [[7, 0], [0, 5]]
    assert matched(NOTHING, torch.tensor([BACKGROUND, IGNORED])).tolist() == [[0] * 4] * 2
