import torch

from srtod.heads.targets import read_targets


def test_targets_are_checked_and_split_where_they_lie():
    target = {
        "boxes": torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6], [1, 1, 3, 3]]),
        "labels": torch.tensor([1, 0, 1], dtype=torch.int32),
        "ignore": torch.tensor([False, True, False]),
    }
    truth = read_targets([target], 2, torch.device("meta"))[0]  # where no value can be looked at
    for tensor, shape in ((truth.boxes, (2, 4)), (truth.labels, (2,)), (truth.ignore_regions, (1, 4))):
        assert tensor.is_meta
        assert tensor.shape == shape
    assert truth.labels.dtype == torch.int64
