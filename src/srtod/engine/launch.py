"""From what a user types to a training run."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState

from srtod.detectors.systems import options_of
from srtod.detectors.zoo import load
from srtod.engine.advice import advised_recipe, advised_settings
from srtod.engine.fit import FitResult, fit
from srtod.engine.processes import PATIENCE, claimed_together, on_main, together
from srtod.engine.report import write_training_report
from srtod.engine.sets import Source, TrainingSets, common_stretch, training_sets, training_split
from srtod.engine.state import CONFIG, STATE
from srtod.plots import Report
from srtod.recipes import Recipe, load_recipe
from srtod.recipes.advice import advice_text
from srtod.support.devices import ONE_GPU, choose_device
from srtod.support.errors import InputError
from srtod.support.progress import say


def train_from_paths(
    source: Source,
    output: Path,
    *,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    init: str | Path | None = None,
    validation: tuple[Path | None, str | None] = (None, None),
    device: str = "auto",
) -> FitResult:
    """Read recipe and data, train, write a page on it, and say where the weights are.

    Args:
        source: data to learn from.
        output: see :func:`~srtod.engine.fit.fit`, as ``resume``, ``init`` and ``device``.
        recipe: name or file; where None, the run's own on resume, else the one that fits the data, with the
            detector of ``init`` if that is given.
        overrides: ``section.key=value``, on top of the recipe.
        resume: go on with the run in ``output``.
        init: weights to start from.
        validation: data and split to validate on; see :func:`~srtod.engine.sets.training_sets`.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: anything wrong in recipe, data or output.
        NotFiniteError: a loss is not finite.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state is saved.
    """
    quiet = os.environ.get("RANK", "0") != "0"
    chosen = choose_device(device, among=ONE_GPU)
    if recipe is not None or resume:
        settings = load_recipe(recipe or _own_recipe(output), overrides)
    processes = PartialState(cpu=chosen.type == "cpu", timeout=PATIENCE)
    if recipe is None and not resume:
        settings = on_main(processes, lambda: _advised(source, overrides, chosen, init))
    with claimed_together(processes, output):
        resumed = on_main(processes, lambda: resume and (output / STATE).exists())
        source = replace(source, stretch=settings.model.stretch)
        sets = training_sets(source, *validation, decode=source.skip_bad or not resumed, quiet=quiet)
        with together(processes):
            settings, sets = _stretched(settings, sets, quiet=quiet)
        try:
            result = fit(settings, *sets, output, resume=resume, init=init, device=device)
        except KeyboardInterrupt:
            if not quiet:
                say("go on with --resume")
            raise
        PartialState().destroy_process_group()
        if not quiet:
            page = output / "report.html"
            _report(page, settings, result, sets, device)
            best = f", the best {result.best}" if result.best else ""
            say(f"done after {result.steps} steps: the last weights are {result.last}{best}; open {page}")
        return result


def _stretched(settings: Recipe, sets: TrainingSets, *, quiet: bool) -> tuple[Recipe, TrainingSets]:
    """Let all images be stretched alike where the recipe leaves it open; the weights keep how."""
    train, val = sets
    if settings.model.stretch != "auto" or (stretch := common_stretch(train)) == "auto":
        return settings, sets
    if not quiet:
        say(f"model.stretch={list(stretch)}: chosen for all images; the weights carry it")
    model = settings.model.model_copy(update={"stretch": stretch})
    both = train.stretched(stretch), None if val is None else val.stretched(stretch)
    return settings.model_copy(update={"model": model}), both


def _report(page: Path, recipe: Recipe, result: FitResult, sets: TrainingSets, device: str) -> None:
    """Write the page of a training that has ended."""
    train_set, val_set = sets
    shown = train_set if val_set is None else val_set
    learned = f"{len(train_set.records)} images with {', '.join(train_set.classes)}"
    looked = f"{len(shown.records)} images that it had not seen" if val_set else "images it learned from"
    report = Report(
        title=f"srtod train: {page.parent.name}",
        summary=[f"A detector ({recipe.model.system}) learned from {learned}. It is shown on {looked}."],
        facts={
            "data": str(train_set.source),
            "system": f"{recipe.model.system} on {recipe.model.backbone}",
            "epochs, steps": f"{recipe.train.epochs}, {result.steps}",
            "precision": recipe.train.precision,
            "seed": str(recipe.train.seed),
        },
        metrics=result.scores or {},
    )
    detector = load(result.last).to(choose_device(device, among=ONE_GPU))
    write_training_report(page, report, detector, shown, page.parent)


def _own_recipe(output: Path) -> Path:
    """The recipe of a run to go on with."""
    if not (output / CONFIG).exists():
        raise InputError(f"{output}: there is no run to go on with (no {CONFIG}); start one without --resume")
    return output / CONFIG


def _advised(
    source: Source, overrides: Sequence[str], device: torch.device, init: str | Path | None
) -> Recipe:
    """The recipe that fits the training set and this machine; it is said."""
    settings = advised_settings(source.read(training_split(source)), device)
    model = None
    if init is not None:
        model = load(init).config | {"classes": (), "operating_point": None}
        own = {f"model.{name}" for name in options_of(model["system"]).open_options() if name in model}
        settings = tuple(one for one in settings if one.key in own or not one.key.startswith("model."))
    say(f"no --recipe, so this one, from the boxes and images of {source.path}:")
    for line in advice_text(settings).splitlines():
        say(line)
    if model is not None:
        say(f"the rest of the model is as {init} has it")
    return advised_recipe(settings, overrides, model=model)
