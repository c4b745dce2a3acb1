import weakref

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


class LiveBytes(TorchDispatchMode):
    """Notes the most bytes that are held at once by tensors made within; views of one memory count once."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._held = {}

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor):
                self._watch(one.untyped_storage())
        self.peak = max(self.peak, sum(self._held.values()))
        return result

    def _watch(self, storage):
        if storage.data_ptr() not in self._held:
            self._held[storage.data_ptr()] = storage.nbytes()
            weakref.finalize(storage, self._held.pop, storage.data_ptr())


@pytest.fixture
def live_bytes():
    """A context in which the memory of tensors is watched."""
    return LiveBytes()


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
