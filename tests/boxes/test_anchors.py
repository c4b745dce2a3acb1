import torch

from srtod.boxes.anchors import AnchorGenerator

CPU = torch.device("cpu")


def test_anchors_of_a_size_are_made_once():
    anchors = AnchorGenerator(strides=(4, 8), scales=(2,))
    first, again = anchors([(3, 5), (2, 3)], CPU), anchors([(3, 5), (2, 3)], CPU)
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert [len(own) for own in anchors([(5, 3), (3, 2)], CPU)] == [45, 18]


def test_few_sizes_are_kept():
    anchors = AnchorGenerator(strides=(4,), scales=(2,))
    oldest = anchors([(1, 1)], CPU)[0]
    for side in range(2, 20):
        anchors([(side, side)], CPU)
    again = anchors([(1, 1)], CPU)[0]
    assert again is not oldest
    assert torch.equal(again, oldest)


def test_anchors_made_in_inference_serve_training():
    anchors = AnchorGenerator(strides=(4,), scales=(2,))
    with torch.inference_mode():
        anchors([(2, 2)], CPU)
    deltas = torch.zeros(12, 4, requires_grad=True)
    (anchors([(2, 2)], CPU)[0] * deltas).sum().backward()
    assert deltas.grad.abs().sum() > 0
