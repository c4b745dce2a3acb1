import pytest
import torch

from srtod.data.pasting import PasteCopies

SIDE = 96


def scene(*boxes, ignore=()):
    """A ramp of grey with a bright cross-hatched thing in each box."""
    image = (torch.arange(SIDE)[:, None] / 2 + torch.arange(SIDE)[None] / 4 + 40).to(torch.uint8)
    image = image.expand(3, -1, -1).clone()
    for left, top, right, bottom in boxes:
        image[:, top:bottom, left:right] = 220
        image[0, top:bottom:2, left:right] = 120
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float).reshape(-1, 4),
        "labels": torch.arange(len(boxes)) % 3,
        "ignore": torch.tensor([number in ignore for number in range(len(boxes))], dtype=torch.bool),
    }
    return image, target


def pasted(image, target, most=8, seed=0):
    return PasteCopies(most)(image, target, torch.Generator().manual_seed(seed))


def overlap(boxes):
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return float(shared.triu(diagonal=1).sum())


@pytest.mark.parametrize("seed", range(8))
def test_copies_show_their_object_where_nothing_is_marked(seed):
    image, target = scene((20, 30, 26, 34), (60, 60, 70, 72))
    before = image.clone()
    after, found = pasted(image, target, seed=seed)
    assert torch.equal(image, before)  # what is given stays
    count = len(found["boxes"]) - 2
    assert 0 <= count <= 8
    assert torch.equal(found["boxes"][:2], target["boxes"])
    assert found["labels"].shape == found["ignore"].shape == (count + 2,)
    assert overlap(found["boxes"]) == 0
    for box, label in zip(found["boxes"][2:], found["labels"][2:], strict=True):
        source = target["boxes"][int(label)]
        assert torch.equal(box[2:] - box[:2], source[2:] - source[:2])
        left, top, right, bottom = box.int().tolist()
        copy, ground = after[:, top:bottom, left:right].float(), before[:, top:bottom, left:right].float()
        assert (copy[1] - ground[1]).min() > 80  # bright as the object is over its surroundings
        assert copy[0].std() > copy[1].std()  # hatched as it is
    changed = (after != before).any(0)
    near = torch.zeros_like(changed)
    for left, top, right, bottom in found["boxes"][2:].int().tolist():
        near[max(top - 5, 0) : bottom + 5, max(left - 5, 0) : right + 5] = True
    assert not (changed & ~near).any()


def test_how_many_are_pasted_is_drawn():
    image, target = scene((20, 30, 26, 34))
    counts = {len(pasted(image, target, most=3, seed=seed)[1]["boxes"]) - 1 for seed in range(30)}
    assert counts == {0, 1, 2, 3}


def test_the_same_numbers_give_the_same_picture():
    image, target = scene((20, 30, 26, 34))
    first, second = (pasted(image, target, seed=4) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1]["boxes"], second[1]["boxes"])


@pytest.mark.parametrize(
    ("boxes", "ignore"),
    [
        ((), ()),
        (((0, 30, 6, 34),), ()),  # at the border: perhaps cut
        (((20, 30, 60, 40),), ()),  # too large
        (((20, 30, 26, 34),), (0,)),  # to ignore
    ],
)
def test_some_objects_are_not_copied(boxes, ignore):
    image, target = scene(*boxes, ignore=ignore)
    for seed in range(5):
        after, found = pasted(image, target, seed=seed)
        assert torch.equal(after, image)
        assert len(found["boxes"]) == len(boxes)


def test_regions_to_ignore_are_not_painted_over():
    image, target = scene((20, 30, 26, 34), (0, 40, 96, 96), (0, 0, 96, 28), ignore=(1, 2))
    for seed in range(5):
        after, found = pasted(image, target, most=20, seed=seed)
        assert torch.equal(after[:, 41:], image[:, 41:])
        assert overlap(found["boxes"]) == 0


@pytest.mark.parametrize(
    "boxes",
    [
        ((20, 30, 26, 34), (26, 31, 30, 35)),  # neighbours
        ((20, 30, 36, 46), (26, 36, 30, 40)),  # one within the other
    ],
)
def test_nothing_comes_along_without_a_box(boxes):
    image, target = scene(*boxes)
    for seed in range(5):
        assert torch.equal(pasted(image, target, seed=seed)[0], image)
    image, target = scene(*boxes, (60, 60, 66, 66))
    counts = [len(pasted(image, target, seed=seed)[1]["boxes"]) for seed in range(8)]
    assert max(counts) > 3
    for seed in range(8):
        assert (pasted(image, target, seed=seed)[1]["labels"][3:] == 2).all()


def test_none_is_the_image_as_it_is():
    image, target = scene((20, 30, 26, 34))
    generator = torch.Generator().manual_seed(0)
    assert PasteCopies(0)(image, target, generator)[0] is image
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())
