"""What is no image is told in one line that says what makes one of it."""

import numpy as np
import pytest
import torch
from PIL import Image

import srtod
from srtod.detectors.border import images as images_module
from srtod.detectors.border.images import check_images
from srtod.support.errors import InputError

GOOD = torch.linspace(0, 1, 3 * 6 * 8).reshape(3, 6, 8)


@pytest.mark.parametrize(
    "images",
    [
        [GOOD],
        (GOOD, torch.rand(3, 1, 1)),
        torch.rand(2, 3, 4, 4),
        [GOOD.half()],
        [GOOD.bfloat16()],
        [(GOOD * 255).byte()],
        [GOOD * 2 - 0.5],
        [GOOD * 0],
    ],
)
def test_what_detectors_take_passes(images):
    check_images(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GOOD, r"images: a list of images is needed, not a single tensor; give \[image\]"),
        ((image for image in [GOOD]), "images: a list of .* not generator"),
        (np.zeros((1, 3, 4, 4)), "images: a list of .* not ndarray"),
        (None, "not NoneType"),
        ("sky.png", "not str"),
        ([], "images: none were given"),
        (
            [GOOD, None],
            r"images\[1\]: a tensor \[3, H, W\] .* float in 0..1 or uint8, not NoneType$",
        ),
        ([np.zeros((4, 4, 3), np.uint8)], r"images\[0\]: .*, not ndarray; .*to_tensor makes one of it"),
        ([Image.new("RGB", (4, 4))], "not Image; .*to_tensor makes one of it"),
        ([(GOOD * 255).long()], r"not torch.int64 \[3, 6, 8\]; convert it with to\(torch.uint8\)$"),
        ([(GOOD * 255).byte().permute(1, 2, 0)], r"not torch.uint8 \[6, 8, 3\]; .* with permute\(2, 0, 1\)$"),
        ([GOOD[0]], r"not torch.float32 \[6, 8\]; repeat the gray channel with expand\(3, -1, -1\)$"),
        ([GOOD[:1]], "repeat the gray channel"),
        ([torch.rand(4, 6, 8)], "leave out the fourth channel"),
        ([GOOD[None]], "give each image of a batch by itself"),
        ([torch.zeros(3, 0, 8)], r"not torch.float32 \[3, 0, 8\]$"),
        ([GOOD, GOOD * 200], r"images\[1\]: its values go from 0 to 200, not RGB in 0..1; divide by 255$"),
        ([(GOOD - 0.45) / 0.22], "leave out the normalisation"),
        ([GOOD.clone().index_fill_(2, torch.tensor([3]), torch.nan)], r"images\[0\]: .* not finite"),
        ([GOOD / 0], "not finite"),
    ],
)
def test_what_is_no_image_is_told_with_its_remedy(images, message):
    with pytest.raises(InputError, match=message) as error:
        check_images(images)
    assert "\n" not in str(error.value)


def test_values_on_another_device_are_looked_at_in_the_first_batch_alone(monkeypatch):
    looked = []
    monkeypatch.setattr(images_module, "_check_values", lambda image, name: looked.append(name))
    monkeypatch.setattr(torch.Tensor, "is_cpu", False)
    detector = srtod.build_detector("retinanet", num_classes=1, backbone="test_resnet", pyramid_channels=8)
    for _ in range(3):
        detector.eval()([GOOD, GOOD])
    assert looked == ["images[0]", "images[1]"]


def test_uint8_and_float_images_give_the_same():
    torch.manual_seed(0)
    detector = srtod.build_detector(
        "retinanet", num_classes=1, backbone="test_resnet", pyramid_channels=8, resize=(80, 60)
    )
    pixels = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    target = {"boxes": torch.tensor([[1.0, 1, 9, 9]]), "labels": torch.tensor([0])}
    losses = [detector([image], [target]) for image in (pixels, pixels.float() / 255)]
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in losses[0])


def test_a_bad_pixel_reaches_no_statistics():
    detector = srtod.build_detector("retinanet", num_classes=1, backbone="test_resnet", pyramid_channels=8)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    bad = torch.rand(3, 64, 64)
    bad[1, 5, 7] = torch.nan
    target = {"boxes": torch.tensor([[1.0, 1, 9, 9]]), "labels": torch.tensor([0])}
    with pytest.raises(InputError, match=r"images\[1\]"):
        detector.train()([torch.rand(3, 64, 64), bad], [target] * 2)
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


def test_explain_checks_its_image():
    options = {"backbone": "test_resnet", "pyramid_channels": 16, "self_reconstruction": True}
    detector = srtod.build_detector("faster-rcnn", num_classes=1, **options)
    for image in (torch.rand(64, 64, 3), torch.rand(3, 64, 64) * 255):
        with pytest.raises(InputError, match=r"^image: "):
            srtod.explain(detector, image)
