import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LargestTensor(TorchDispatchMode):
    """Notes the number of entries of the largest tensor that is made."""

    entries = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        made = result if isinstance(result, tuple | list) else [result]
        self.entries = max([self.entries, *(one.numel() for one in made if isinstance(one, torch.Tensor))])
        return result


@pytest.fixture
def largest_tensor():
    """A context in which the largest tensor is watched."""
    return LargestTensor()


@pytest.fixture
def random_boxes():
    """Makes boxes somewhere in an image, with sides from 1 to ``sides`` pixels more."""

    def make(number, seed=0, width=100.0, height=100.0, sides=20.0):
        generator = torch.Generator().manual_seed(seed)
        corners = torch.rand(number, 2, generator=generator) * torch.tensor([width - sides, height - sides])
        return torch.cat([corners, corners + 1 + torch.rand(number, 2, generator=generator) * sides], dim=1)

    return make
