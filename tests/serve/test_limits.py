import pytest
import torch

from srtod.inference import memory
from srtod.serve.limits import fitting_megapixels

GIGA = 10**9


@pytest.mark.parametrize(("free", "most"), [(64 * GIGA, 25.0), (2 * GIGA, 6.0), (1, 0.1)])
def test_an_image_takes_no_more_than_the_free_memory(free, most, detector, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    assert fitting_megapixels(detector) == pytest.approx(most, abs=0.5)


def test_the_head_of_the_paper_takes_fewer_pixels(detector, small_detector, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * GIGA)
    paper = small_detector(self_reconstruction={"head": "paper"}, pyramid_channels=64)
    lite = small_detector(self_reconstruction={"head": "lite"}, pyramid_channels=64)
    assert fitting_megapixels(paper) == pytest.approx(fitting_megapixels(lite) * 314 / 442, abs=0.1)


def test_exported_programs_are_taken_for_large_detectors(planted, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * GIGA)
    assert fitting_megapixels(planted) == pytest.approx(3.2)


def test_the_free_memory_of_the_machine():
    assert 10**6 < memory.free_memory(torch.device("cpu")) < 10**14
