import pytest
import torch


@pytest.fixture
def random_levels():
    """Boxes of two levels, 200 and 40, and 15 objects."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(255, 2, generator=generator) * 90
    boxes = torch.cat([corners, corners + 2 + torch.rand(255, 2, generator=generator) * 12], dim=1)
    return list(boxes[:240].split([200, 40])), boxes[240:]
