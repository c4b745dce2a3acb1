import numpy as np
import pytest
import torch

from srtod.detectors.border.targets import read_targets
from srtod.support.errors import InputError

BOX = torch.tensor([[1.0, 1, 5, 9]])


def read(targets, *, classes=2, device="cpu", scales=None):
    sizes = [(16, 12)] * len(targets)
    return read_targets(targets, sizes=sizes, scales=scales, num_classes=classes, device=torch.device(device))


def test_targets_are_checked_and_split_where_they_lie():
    target = {
        "boxes": torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6], [1, 1, 3, 3]]),
        "labels": torch.tensor([1, 0, 1], dtype=torch.int32),
        "ignore": torch.tensor([False, True, False]),
    }
    truth = read([target], device="meta")[0]  # where no value can be looked at
    for tensor, shape in ((truth.boxes, (2, 4)), (truth.labels, (2,)), (truth.ignore_regions, (1, 4))):
        assert tensor.is_meta
        assert tensor.shape == shape
    assert truth.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": torch.rand(4, 5)}, r"targets\[0\]: boxes are \[N, 4\] with x1, y1, x2, y2, not \[4, 5\]"),
        ({"boxes": torch.tensor([1.0, 1, 5, 9])}, r"not \[4\]"),
        ({"boxes": [[1, 1, 5, 9]]}, r"boxes must be a tensor, not list; give torch.tensor"),
        ({"labels": [0]}, "labels must be a tensor, not list"),
        ({"ignore": [False]}, "ignore must be a tensor, not list"),
        ({"labels": torch.tensor([[0]])}, r"1 boxes, but labels \[1, 1\]"),
        ({"labels": torch.tensor(0)}, r"1 boxes, but labels \[\]"),
        ({"ignore": torch.tensor([False, True])}, r"ignore flags \[2\]"),
        ({"boxes": None}, "has no boxes$"),
        ({"labels": None}, "has no labels$"),
        ({"boxes": BOX + 12}, r"box 0 \[13.0, .*\] lies outside its image of 12 x 16 pixels"),
        ({"boxes": BOX - torch.tensor([0, 9, 0, 9])}, "lies outside"),
        ({"seed": 2**70}, "seed is a whole number of up to 64 bits, not 1180591620717411303424"),
        ({"seed": 1.5}, "seed is a whole number"),
        ({"labels": torch.tensor([2])}, "label 2 of box 0: .* 2 classes; labels count from 0 to 1 here"),
    ],
)
def test_a_wrong_target_is_told(change, message):
    with pytest.raises(InputError, match=message):
        read([{"boxes": BOX, "labels": torch.tensor([0])} | change])


def test_the_label_of_the_only_class_is_told():
    with pytest.raises(InputError, match=r"label 1 of box 0: the detector has 1 class; its label is 0 here$"):
        read([{"boxes": BOX, "labels": torch.tensor([1])}], classes=1)


@pytest.mark.parametrize("targets", [[None], [[BOX]]])
def test_a_target_is_a_dict(targets):
    with pytest.raises(InputError, match=r"targets\[0\]: a dict with boxes and labels is needed, not"):
        read(targets)


@pytest.mark.parametrize("seed", [0, 2**64 - 1, torch.tensor(7)])
def test_seeds_of_64_bits_are_taken(seed):
    assert read([{"boxes": BOX, "labels": torch.tensor([0]), "seed": seed}])[0].generator is not None


def test_arrays_are_taken_as_tensors_are():
    tensors = {
        "boxes": torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6]]),
        "labels": torch.tensor([1, 7]),
        "ignore": torch.tensor([False, True]),
    }
    arrays = {name: value.numpy() for name, value in tensors.items()}
    for one, other in zip(read([tensors])[0], read([arrays])[0], strict=True):
        assert one is None or torch.equal(one, other)


def test_boxes_are_scaled_before_they_go_over_and_the_users_stay_as_they_are():
    boxes = np.array([[1.0, 1, 5, 9]], np.float32)
    target = {"boxes": boxes, "labels": np.array([0])}
    scales = [(2.0, 0.5)]
    (truth,) = read_targets(
        [target], sizes=[(16, 12)], scales=scales, num_classes=1, device=torch.device("cpu")
    )
    assert truth.boxes.tolist() == [[2, 0.5, 10, 4.5]]
    assert boxes.tolist() == [[1, 1, 5, 9]]


def test_a_batch_goes_over_in_one_copy_that_does_not_block(monkeypatch):
    copies = []
    move = torch.Tensor.to

    def counted(tensor, *args, **options):
        copies.append(options)
        return move(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    target = {"boxes": BOX, "labels": torch.tensor([0])}
    read([target, target, target])
    assert copies == [{"non_blocking": True}]
