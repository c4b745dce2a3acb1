import copy
import io
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    DFineConfig,
    DFineForObjectDetection,
    HGNetV2Config,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

import srtod
from srtod.support.errors import InputError

NARROW = {
    "d_model": 32,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "decoder_layers": 2,
    "num_queries": 20,
    "num_labels": 2,
}
RT_DETR = NARROW | {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [32, 48, 64],
    "decoder_in_channels": [32, 32, 32],
    "num_denoising": 5,
    "hidden_expansion": 0.5,
}
RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 48, 64],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_indices": [2, 3, 4],
}
HGNET = {
    "stem_channels": [3, 8, 8],
    "hidden_sizes": [16, 32, 48, 64],
    "stage_in_channels": [8, 16, 32, 48],
    "stage_mid_channels": [8, 8, 8, 8],
    "stage_out_channels": [16, 32, 48, 64],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_numb_of_layers": [1, 1, 1, 1],
    "out_indices": [2, 3, 4],
}
IMAGENET_MEAN, IMAGENET_STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def rt_detr():
    return RTDetrForObjectDetection(RTDetrConfig(backbone_config=RTDetrResNetConfig(**RESNET), **RT_DETR))


def rt_detr_v2():
    return RTDetrV2ForObjectDetection(RTDetrV2Config(backbone_config=RTDetrResNetConfig(**RESNET), **RT_DETR))


def d_fine():
    return DFineForObjectDetection(DFineConfig(backbone_config=HGNetV2Config(**HGNET), **RT_DETR))


def deformable_detr():
    config = DeformableDetrConfig(backbone_config=ResNetConfig(**RESNET), encoder_layers=1, **NARROW)
    return DeformableDetrForObjectDetection(config)


MODELS = [rt_detr, rt_detr_v2, d_fine, deformable_detr]


def built(make=rt_detr_v2):
    torch.manual_seed(0)
    return make()


def raw():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(2, 3, 64, 96, generator=generator) / 5
    images[:, :, 20:30, 30:40] = 0.9
    return images


def batch(mean=0.0, std=1.0):
    """The second image is 48 x 80, padded."""
    mask = torch.ones(2, 64, 96, dtype=torch.long)
    mask[1, 48:] = 0
    mask[1, :, 80:] = 0
    mean, std = (torch.as_tensor(value).expand(3)[:, None, None] for value in (mean, std))
    return {"pixel_values": (raw() - mean) / std * mask[:, None], "pixel_mask": mask}


def labels():
    some = {"class_labels": torch.tensor([0, 1]), "boxes": torch.tensor([[0.3, 0.3, 0.2, 0.2]]).repeat(2, 1)}
    return [some, {"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)}]


def hooks_of(model):
    return [hook for own in model.modules() for hook in (*own._forward_hooks, *own._forward_pre_hooks)]


@pytest.mark.parametrize("make", MODELS)
def test_a_few_steps_teach_threshold_and_head(make):
    model = srtod.attach(built(make).train(), threshold=0.4)  # as large as the first differences
    start = {key: value.clone() for key, value in model.self_reconstruction.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    given = batch(IMAGENET_MEAN, IMAGENET_STD) if make is deformable_detr else batch()
    course = []
    for _ in range(4):
        outputs = model(**given, labels=labels())
        optimizer.zero_grad()
        outputs.loss.backward()
        optimizer.step()
        assert outputs.loss.isfinite()
        course.append(outputs.loss_dict["loss_reconstruction"].item())
    assert course[-1] < course[0]
    changed = {
        key for key, value in model.self_reconstruction.state_dict().items() if not value.equal(start[key])
    }
    assert {"filtration.threshold", "head.output.weight", "enhancement.attention.mlp.2.bias"} <= changed


def losses_of(model, **options):
    torch.manual_seed(7)  # of dropout and denoising
    return model(**batch(), labels=labels(), **options)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_the_loss_is_added_in_training_and_nothing_else(make, training):
    plain, model = built(make).train(training), srtod.attach(built(make).train(training), head="lite")
    with torch.no_grad():
        before, after = losses_of(plain), losses_of(model)
        parts = losses_of(model, return_dict=False)
    assert type(after) is type(before)
    assert list(after) == list(before)
    more = {"loss_reconstruction"} if training else set()
    assert set(after.loss_dict) == set(before.loss_dict) | more
    assert parts[0].equal(after.loss)
    assert set(parts[1]) == set(after.loss_dict)


@pytest.mark.parametrize("make", MODELS)
def test_the_sum_holds_the_loss_once_in_training_and_not_in_evaluation(make):
    model, light = (srtod.attach(built(make), loss_weight=weight) for weight in (100.0, 0.0))
    light.load_state_dict(model.state_dict())
    outputs = losses_of(model.train())
    own = outputs.loss_dict["loss_reconstruction"]
    assert own > 0.1
    torch.testing.assert_close(outputs.loss - own, losses_of(light.train()).loss)
    assert losses_of(model.eval()).loss.equal(losses_of(light.eval()).loss)
    assert model(**batch()).loss is None


@pytest.mark.parametrize(
    ("make", "given", "options"),
    [
        (rt_detr_v2, batch(), {}),
        (deformable_detr, batch(IMAGENET_MEAN, IMAGENET_STD), {}),
        (d_fine, batch(0.5, 0.25), {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.25, 0.25, 0.25)}),
    ],
)
def test_the_module_sees_the_image_before_normalisation_and_no_padding(make, given, options):
    model = srtod.attach(built(make).train(), **options)
    seen = []
    model.self_reconstruction.register_forward_hook(lambda own, args, output: seen.extend((*args, output)))
    loss = model(**given, labels=labels()).loss_dict["loss_reconstruction"]
    _, image, valid, output = seen
    torch.testing.assert_close(image, raw() * given["pixel_mask"][:, None], atol=1e-6, rtol=0)
    assert valid.sum(dim=(1, 2, 3)).tolist() == [64 * 96, 48 * 80]
    errors = (output.reconstruction - image).square()
    torch.testing.assert_close(loss, (errors[0].mean() + errors[1, :, :48, :80].mean()) / 2)


def test_the_mask_of_an_unpadded_batch_lies_on_the_cells_of_the_level():
    model = srtod.attach(built(deformable_detr).eval(), image_mean=(0.0,) * 3, image_std=(1.0,) * 3)
    own, seen = model.self_reconstruction, []
    own.head.forward = lambda level: torch.zeros(1, 3, 8 * level.shape[2], 8 * level.shape[3])
    own.register_forward_hook(lambda _, args, output: seen.append(output.mask))
    pixels = torch.zeros(1, 3, 60, 90)  # 8 x 12 cells of 8 pixels, the last of 4 rows and 2 columns
    pixels[..., 52, 83] = 1
    model(pixel_values=pixels)
    assert seen[0].nonzero().tolist() == [[0, 0, 6, 10]]


def test_the_encoder_reads_the_enhanced_level():
    model = srtod.attach(built().eval(), enhancement="multiply", filtration="fixed", threshold=1.0)
    read = []
    model.model.encoder.register_forward_pre_hook(lambda _, args: read.extend(args[0]))
    model(**batch())
    assert [level.shape[-1] for level in read] == [12, 6, 3]
    assert [bool(level.any()) for level in read] == [False, True, True]


@pytest.mark.parametrize("make", MODELS)
def test_state_goes_to_a_fresh_model_a_copy_and_a_file(make):
    model = srtod.attach(built(make), head="lite", threshold=0.3).eval()
    model(**batch(), labels=labels())
    torch.manual_seed(1)
    fresh = srtod.attach(make(), head="lite").eval()
    fresh.load_state_dict(model.state_dict())
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    with torch.no_grad():
        wanted = model(**batch()).pred_boxes
        for other in (fresh, copy.deepcopy(model), torch.load(file, weights_only=False)):
            assert other(**batch()).pred_boxes.equal(wanted)


def test_saved_in_transformers_own_way_it_loads_attached_or_plain(tmp_path):
    model = srtod.attach(built().eval())
    model.save_pretrained(tmp_path)
    plain = RTDetrV2ForObjectDetection.from_pretrained(tmp_path).eval()
    attached = srtod.attach(RTDetrV2ForObjectDetection.from_pretrained(tmp_path)).eval()
    attached.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    with torch.no_grad():
        assert attached(**batch()).pred_boxes.equal(model(**batch()).pred_boxes)
        srtod.detach(model)
        assert plain(**batch()).pred_boxes.equal(model(**batch()).pred_boxes)


@pytest.mark.parametrize("make", MODELS)
def test_detach_gives_the_model_back(make):
    model = built(make)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes, attributes = [own.training for own in model.modules()], set(vars(model))
    assert srtod.detach(srtod.attach(model)) is model
    assert [own.training for own in model.modules()] == modes
    assert set(vars(model)) == attributes
    assert hooks_of(model) == hooks_of(built(make))
    assert list(model.state_dict()) == list(before)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        assert model.eval()(**batch()).logits.equal(built(make).eval()(**batch()).logits)


@pytest.mark.parametrize("size", [(1, 1), (32, 20)])
def test_an_image_too_small_for_the_model_is_told(size):
    model = srtod.attach(built(deformable_detr), head="lite")
    with pytest.raises(InputError, match=r"image of \d+ x \d+ pixels is too small.*give a larger") as error:
        srtod.explain(model, torch.rand(3, *size))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", MODELS)
def test_explain_gives_the_maps_of_an_image_of_any_size(make):
    model = srtod.attach(built(make).train())
    image = raw()[0, :, :50, :70]
    maps = srtod.explain(model, image)
    assert {name: tuple(own.shape) for name, own in maps.items()} == {
        "reconstruction": (3, 50, 70),
        "difference": (1, 50, 70),
        "mask": (1, 7, 9),
        "features_before": (32, 7, 9),
        "features_after": (32, 7, 9),
    }
    wanted = (maps["reconstruction"] - image).abs().mean(dim=0, keepdim=True)
    torch.testing.assert_close(maps["difference"], wanted)
    assert model.training


def test_the_family_of_rt_detr_is_not_normalised_by_default():
    processor = RTDetrImageProcessor()
    assert (processor.do_rescale, processor.do_normalize) == (True, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_mean": (0.5, 0.5)}, "image_mean must be three numbers"),
        ({"image_mean": "grey"}, "image_mean must be three numbers"),
        ({"image_std": (1.0, 0.0, 1.0)}, "image_std must be above 0"),
        ({"tempratur": 1}, "did you mean 'temperature'"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(InputError, match=message):
        srtod.attach(built(), **options)


def test_the_base_model_without_losses_is_refused():
    with pytest.raises(InputError, match="cannot attach to RTDetrV2Model"):
        srtod.attach(built().model)


def test_srtod_itself_never_imports_transformers():
    sources = Path(srtod.__file__).parent.rglob("*.py")
    assert [path for path in sources if re.search(r"(import|from) transformers", path.read_text())] == []
