import pytest
import torch
from torch import nn

from srtod.nn.groups import in_groups, trains_batch_norm


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, 5), nn.Linear(3, 2)
        self.seen = []

    def forward(self, rows):
        self.seen.append(len(rows))
        return self.first(rows).relu(), self.second(rows).sigmoid()


@pytest.mark.parametrize("rows", [0, 4, 5, 11])
def test_groups_change_neither_results_nor_gradients(rows):
    given = torch.rand(rows, 3, requires_grad=True)
    outcomes = []
    for most in (None, 4):
        layers = Layers()
        first, second = in_groups(layers, given, most)
        gradients = torch.autograd.grad(first.sum() + second.square().sum(), [given, *layers.parameters()])
        outcomes.append((first, second, *gradients))
    for alone, grouped in zip(*outcomes, strict=True):
        torch.testing.assert_close(grouped, alone)


def test_groups_are_bounded_and_computed_again_only_for_gradients():
    layers, rows = Layers(), torch.rand(11, 3)
    with torch.no_grad():
        in_groups(layers, rows, 4)
    assert layers.seen == [4, 4, 3]
    sum(own.sum() for own in in_groups(layers, rows, 4)).backward()
    assert sorted(layers.seen) == sorted([4, 4, 3] * 3)


def test_batch_norm_that_counts_is_found():
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    assert trains_batch_norm(module.train())
    module[1].eval()
    assert not trains_batch_norm(module)
