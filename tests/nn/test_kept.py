from concurrent.futures import ThreadPoolExecutor

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from srtod.nn.kept import kept


def maker(most):
    @kept(most)
    def zeros(key):
        return torch.zeros(2)

    return zeros


def test_what_was_used_last_is_kept():
    zeros = maker(2)
    first, second = zeros("first"), zeros("second")
    assert zeros("first") is first
    zeros("third")
    assert zeros("first") is first
    assert zeros("second") is not second


def test_what_inference_makes_first_serves_training():
    zeros = maker(1)
    with torch.inference_mode():
        zeros("key")
    assert not zeros("key").is_inference()


def test_fake_tensors_are_not_kept():
    zeros = maker(1)
    with FakeTensorMode():
        zeros("key")
    assert type(zeros("key")) is torch.Tensor


def test_threads_share_what_is_kept():
    zeros = maker(2)

    def look():
        for number in range(2000):
            assert len(zeros(number % 5)) == 2

    with ThreadPoolExecutor(4) as pool:
        for looked in [pool.submit(look) for _ in range(4)]:
            looked.result()
