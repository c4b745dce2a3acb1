"""What a training run is put together from: processes and precision, detector, optimizer, images."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn

from srtod.data.dataset import DetectionDataset
from srtod.data.loading import Batch, on_device
from srtod.data.pasting import PasteCopies
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.data.transforms import ColorJitter, Compose, Degrade, RandomCrop, RandomFlip, ScaleJitter
from srtod.detectors.detector import Detector
from srtod.detectors.systems import options_of
from srtod.detectors.zoo import load
from srtod.engine.batches import Batches
from srtod.engine.processes import PATIENCE
from srtod.engine.schedule import Average, build_optimizer
from srtod.engine.sets import training_records
from srtod.engine.state import BEST, CONTENT, LAST, Run
from srtod.nn.modes import batch_norms
from srtod.recipes import DataRecipe, Recipe, TrainRecipe
from srtod.selfrec.filtration import Filtration
from srtod.support.devices import ONE_GPU, choose_device, require_precision, trains_channels_last
from srtod.support.errors import InputError, did_you_mean
from srtod.support.files import file_size

_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class _Losses(nn.Module):
    """The detector's losses: what is distributed and autocast, so that the detector itself stays as it is."""

    def __init__(self, detector: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.detector, self.device = detector, device

    def train(self, mode: bool = True) -> "_Losses":
        """Switch to training, BatchNorm excepted whose scale is not trained."""
        super().train(mode)
        for _, norm in batch_norms(self.detector):
            if norm.affine and not norm.weight.requires_grad:
                norm.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.detector(on_device(batch.images, self.device), batch.targets)


def start_accelerator(recipe: TrainRecipe, device: str, output: Path) -> Accelerator:
    """Start accelerate on the processes it was launched with.

    Raises:
        InputError: the device is unknown or not there, or does not do the precision.
    """
    chosen = choose_device(device, among=ONE_GPU)
    require_precision(recipe.precision, chosen)
    _choose_kernels(deterministic=recipe.deterministic)
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps one configuration a process
    GradientState._reset_state()
    return Accelerator(
        cpu=chosen.type == "cpu",
        mixed_precision=_PRECISION[recipe.precision],
        gradient_accumulation_steps=recipe.accumulation,
        log_with="tensorboard",
        project_dir=output,
        kwargs_handlers=[
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            InitProcessGroupKwargs(timeout=PATIENCE),
        ],
    )


def _choose_kernels(*, deterministic: bool) -> None:
    """Let a GPU take the fastest kernels, or only such as give the same bits each time."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic


def new_detector(
    recipe: Recipe, classes: Sequence[str], init: str | Path | None, *, bare: bool = False
) -> Any:
    """Build the recipe's detector.

    Args:
        recipe: its section ``model``, and what of it is trained.
        classes: class names in label order.
        init: weights of an earlier detector of the same kind to start from. What tells its classes is taken
            only if they are the same, and of self-reconstruction what both have; the rest starts anew.
        bare: do not fetch weights for the backbone: others will replace them.

    Raises:
        InputError: ``init`` is of another kind of detector, or ``train.only`` names no part of this one.
    """
    torch.manual_seed(recipe.train.seed)
    model = recipe.model.for_classes(classes)
    if bare or init is not None:
        model = model.model_copy(update={"pretrained_backbone": False})
    detector = Detector.build(model)
    if init is not None and not bare:
        _take_weights(detector, load(init), init)
    if recipe.train.only:
        _train_only(detector, recipe.train.only)
    return detector


def _take_weights(detector: Any, given: Any, source: str | Path) -> None:
    own, others = detector.state_dict(), given.state_dict()
    unlike = {name for name in own.keys() | others.keys() if _shape(own, name) != _shape(others, name)}
    anew = {name for name in unlike if name.startswith("self_reconstruction.")}
    anew.add("self_reconstruction.passes")  # counted in this training
    if given.classes != detector.classes:
        anew |= _telling_classes(given)
    if unlike - anew:
        raise InputError(
            f"{source}: these are weights of {_kind(given)}, the recipe builds {_kind(detector)}"
            f"{_difference(given, detector)}; train the same kind, or without --init"
        )
    detector.load_state_dict(own | {name: others[name] for name in own.keys() - anew})


def _shape(state: dict[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def _telling_classes(detector: Any) -> set[str]:
    """Names of the weights that are of another shape where there is one class more."""
    others = [f"class {number}" for number in range(len(detector.classes) + 1)]
    config = detector.config | {"classes": others, "operating_point": None}
    with torch.device("meta"):
        more = Detector.build(options_of(config["system"]).model_validate(config)).state_dict()
    return {name for name, own in detector.state_dict().items() if own.shape != more[name].shape}


def _train_only(detector: nn.Module, parts: Sequence[str]) -> None:
    """Freeze every parameter that belongs to none of some parts."""
    names = [name for name, _ in detector.named_parameters()]
    for part in parts:
        if not any(_belongs(name, part) for name in names):
            known = dict.fromkeys(".".join(name.split(".")[:depth]) for depth in (1, 2) for name in names)
            raise InputError(
                f"train.only: this detector has no {part!r}{did_you_mean(part, known)}; it has "
                f"{', '.join(known)}"
            )
    for name, parameter in detector.named_parameters():
        if not any(_belongs(name, part) for part in parts):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in detector.parameters()):
        raise InputError(
            f"train.only: nothing is left to train of {', '.join(parts)}; see model.frozen_stages"
        )


def _belongs(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _kind(detector: Any) -> str:
    return f"{detector.config['system']} on {detector.config['backbone']}"


def _difference(given: Any, wanted: Any) -> str:
    """Where two detectors are of the same kind, the options that give them other weights."""
    if _kind(given) != _kind(wanted):
        return ""
    names = [name for name in given.config if given.config[name] != wanted.config[name]]
    no_obstacle = {"classes", "self_reconstruction", *options_of(given.config["system"]).open_options()}
    return f" with another {', '.join(name for name in names if name not in no_obstacle)}"


def start_run(
    accelerator: Accelerator,
    recipe: Recipe,
    detector: Any,
    *,
    output: Path,
    data: dict[str, Any],
    init: str | None,
    state: dict[str, Any] | None,
) -> Run:
    """Put detector, optimizer and average together on the device, as ``state`` has them if it is given."""
    together = trains_channels_last(accelerator.device)
    layout = torch.channels_last if together else torch.contiguous_format
    detector.to(accelerator.device, memory_format=layout)
    model, optimizer = accelerator.prepare(
        _Losses(detector, accelerator.device), build_optimizer(detector, recipe.train)
    )
    if isinstance(model, nn.parallel.DistributedDataParallel):
        model.broadcast_buffers = _moves_buffers(model.module)
    average = None if recipe.train.ema is None else Average(detector, recipe.train.ema)
    run = Run(accelerator, detector, model, optimizer, average, output, data, init=init)
    if state is not None:
        run.restore(state)
    return run


def _moves_buffers(model: nn.Module) -> bool:
    """Tell whether training moves buffers that processes agree on: BatchNorm's or a threshold."""
    model.train()
    follows = any(isinstance(own, Filtration) and own.kind == "quantile" for own in model.modules())
    return follows or any(norm.training and norm.track_running_stats for _, norm in batch_norms(model))


def training_dataset(
    recipe: Recipe, train_set: AnnotatedSet, val_set: AnnotatedSet | None, *, quiet: bool = False
) -> tuple[DetectionDataset, dict[str, Any]]:
    """Return the images as the recipe wants them, and what tells these data from others."""
    held_out = () if val_set is None else val_set.records
    records = training_records(train_set, recipe.data, seed=recipe.train.seed, held_out=held_out, quiet=quiet)
    data = {
        "images": len(records),
        "boxes": sum(len(record.boxes) for record in records),
        "classes": list(train_set.classes),
        "validation images": len(held_out),
        "validation boxes": sum(len(record.boxes) for record in held_out),
        "objects": sum(record.object_count for record in records),
        CONTENT: _digest([*records, *held_out]),
    }
    dataset = DetectionDataset(
        records, classes=train_set.classes, transform=_augmentation(recipe.data), seed=recipe.train.seed
    )
    if recipe.data.mine_every:
        dataset.expect_false_alarms()
    return dataset, data


def _digest(records: Sequence[ImageRecord]) -> str:
    """Tell images and what is marked in them from others; of their files, name and size are looked at."""
    own, size_of = hashlib.sha256(), cache(file_size)
    for record in records:
        own.update(json.dumps([record.image_id, record.file_name, size_of(record.path)]).encode())
        for column in (record.boxes, record.labels, record.ignore):
            own.update(column.tobytes())
    return own.hexdigest()


def _augmentation(recipe: DataRecipe) -> Compose:
    side = recipe.crop
    crop = None if side is None else RandomCrop(side, side, on_objects=recipe.crop_on_objects)
    return Compose(
        [
            ScaleJitter(recipe.scale_jitter, crop),
            PasteCopies(recipe.paste),
            RandomFlip("horizontal", recipe.horizontal_flip),
            RandomFlip("vertical", recipe.vertical_flip),
            ColorJitter(brightness=recipe.brightness, contrast=recipe.contrast),
            Degrade(
                gamma=recipe.gamma,
                invert=recipe.invert,
                grey=recipe.grey,
                blur=recipe.blur,
                noise=recipe.noise,
                jpeg=recipe.jpeg,
            ),
        ]
    )


def introduction(recipe: Recipe, run: Run, batches: Batches, val_set: AnnotatedSet | None) -> Iterator[str]:
    """Say what is going to be trained, on what, and where it goes."""
    model, train, accelerator = recipe.model, recipe.train, run.accelerator
    trained = sum(p.numel() for p in run.detector.parameters() if p.requires_grad) / 1e6
    switches = model.self_reconstruction
    extra = f"self-reconstruction ({switches.head} head)" if switches else "no self-reconstruction"
    yield f"detector: {model.system}, {model.backbone}, {extra}, {trained:.1f} M trained parameters"
    kind = "images" if recipe.data.slice is None else f"slices of {recipe.data.slice} px"
    ignored = run.data["boxes"] - run.data["objects"]
    besides = f" and {ignored} regions to ignore" if ignored else ""
    where = f"{train.precision}, {accelerator.num_processes} process(es) on {accelerator.device.type}"
    yield (
        f"training: {run.data['images']} {kind} with {run.data['objects']} boxes of "
        f"{', '.join(run.data['classes'])}{besides}; {train.epochs} epochs of "
        f"{batches.steps_per_epoch} steps of {train.batch_size} images; {where}"
    )
    if val_set is None:
        why = "no images in val, test or --val-data" if train.evaluate_every else "train.evaluate_every is 0"
        yield f"validation: none ({why}), so {LAST} is all there will be"
    else:
        yield f"validation: {len(val_set.records)} images, {BEST} has the highest {train.best_by}"
    start = f"going on after step {run.step}" if run.step else "starting from the beginning"
    yield f"output: {run.output}, {start}"
