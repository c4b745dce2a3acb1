import copy
import pickle

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from srtod.nn.kept import Kept


def zeros():
    return [torch.zeros(2)]


def test_what_was_used_last_is_kept():
    kept = Kept(2)
    first = kept.get("first", zeros)[0]
    second = kept.get("second", zeros)[0]
    assert kept.get("first", zeros)[0] is first
    kept.get("third", zeros)
    assert kept.get("first", zeros)[0] is first
    assert kept.get("second", zeros)[0] is not second


def test_what_inference_makes_first_serves_training():
    kept = Kept(1)
    with torch.inference_mode():
        kept.get("key", zeros)
    assert not kept.get("key", zeros)[0].is_inference()


def test_copies_and_pickles_begin_with_none():
    kept = Kept(3)
    own = kept.get("key", lambda: [torch.zeros(1000)])[0]
    assert len(pickle.dumps(kept)) < 1000
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert other.most == 3
        assert other.get("key", lambda: [torch.zeros(1000)])[0] is not own


def test_fake_tensors_are_not_kept():
    kept = Kept(1)
    with FakeTensorMode():
        kept.get("key", zeros)
    assert type(kept.get("key", zeros)[0]) is torch.Tensor
