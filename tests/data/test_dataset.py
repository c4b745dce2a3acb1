import pytest
import torch

from srtod import data
from srtod.data.dataset import DetectionDataset, derive_seed
from srtod.data.loading import Loader
from srtod.data.transforms import RandomCrop
from srtod.support.errors import InputError


@pytest.fixture
def annotated(tmp_path, make_coco):
    region = {"iscrowd": 1, "image_id": 1, "bbox": [30, 30, 9, 9]}
    marks = [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 10, 6, 6]},
        {"id": 2, "category_id": 3, **region},
        {"id": 3, "category_id": 7, **region},
    ]
    make_coco(tmp_path, images=("a.png", "b.png", "c.png"), annotations=marks)
    return data.read(tmp_path)


def test_sample_is_what_detectors_take(annotated):
    dataset = DetectionDataset(annotated.records, classes=annotated.classes)
    assert len(dataset) == 3
    image, target = dataset[0]
    assert image.shape == (3, 48, 64)
    assert image.dtype == torch.uint8
    assert int(image.min()) < int(image.max())
    assert target["boxes"].dtype == torch.float32
    assert target["boxes"].tolist() == [[10, 10, 16, 16], [30, 30, 39, 39]]
    assert target["labels"].tolist() == [1, 0]  # of a region of any class, 0
    assert target["labels"].dtype == torch.int64
    assert target["ignore"].tolist() == [False, True]
    assert target["image_id"] == 1


def test_image_without_boxes(annotated):
    _, target = DetectionDataset(annotated.records, classes=annotated.classes)[1]
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == target["ignore"].shape == (0,)


def test_changing_a_sample_does_not_change_the_record(annotated):
    dataset = DetectionDataset(annotated.records, classes=annotated.classes)
    for key in ("boxes", "labels", "ignore"):
        dataset[0][1][key].zero_()
    assert dataset[0][1]["boxes"].tolist()[0] == [10, 10, 16, 16]
    assert dataset[0][1]["labels"].tolist() == [1, 0]
    assert dataset[0][1]["ignore"].tolist() == [False, True]


def test_seeds_differ_by_seed_epoch_and_index(annotated):
    seeds = set()
    for seed in (0, 1):
        dataset = DetectionDataset(annotated.records, classes=annotated.classes, seed=seed)
        for epoch in range(3):
            dataset.set_epoch(epoch)
            seeds |= {dataset[index][1]["seed"] for index in range(3)}
    assert len(seeds) == 2 * 3 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 2, 3) == derive_seed(1, 2, 3) != derive_seed(3, 2, 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_do_not_depend_on_workers_nor_on_batches(annotated, workers):
    dataset = DetectionDataset(
        annotated.records, classes=annotated.classes, transform=RandomCrop(16, 16), seed=5
    )
    loader = Loader(dataset, workers=workers, device=torch.device("cpu"))
    for epoch in (0, 1):
        dataset.set_epoch(epoch)  # workers that live on must see it
        loaded = [sample for batch in loader.load([[0, 1], [2]]) for sample in batch]
        for (image, target), index in zip(loaded, range(3), strict=True):
            expected_image, expected_target = dataset[index]
            assert torch.equal(image, expected_image)
            assert torch.equal(target["boxes"], expected_target["boxes"])
            assert target["seed"] == derive_seed(5, epoch, index)


def test_image_that_changed_since_it_was_annotated(annotated, make_image):
    make_image(annotated.records[0].path, (32, 32))
    dataset = DetectionDataset(annotated.records, classes=annotated.classes)
    with pytest.raises(InputError, match=r"a\.png: the image is 32 x 32 pixels, its annotations say 64 x 48"):
        dataset[0]
