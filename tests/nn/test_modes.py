import pytest
import torch
from torch import nn

from srtod.nn.modes import evaluating


def mixed():
    """A network in training whose second part is frozen, but for its dropout."""
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    network[1].eval()[1].train()
    return network


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_every_part_has_its_own_mode_again(error):
    network = mixed()
    before = [own.training for own in network.modules()]
    assert len(set(before)) == 2
    try:
        with evaluating(network):
            assert not any(own.training for own in network.modules())
            assert not torch.is_grad_enabled()
            if error:
                raise error
    except (ZeroDivisionError, KeyboardInterrupt):
        assert error
    assert [own.training for own in network.modules()] == before
    assert torch.is_grad_enabled()
