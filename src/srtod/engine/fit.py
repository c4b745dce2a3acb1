"""Training: the whole loop on one screen."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object

from srtod import metrics
from srtod.data.dataset import DetectionDataset
from srtod.data.records import AnnotatedSet
from srtod.defaults import Metric
from srtod.engine.anchors import chosen_keys, with_anchor_scale
from srtod.engine.batches import Batches
from srtod.engine.evaluate import detect, joined
from srtod.engine.log import RunLog
from srtod.engine.mining import LEAST_SCORE, mine
from srtod.engine.processes import on_main, together, told_once
from srtod.engine.schedule import learning_rate
from srtod.engine.setup import introduction, new_detector, start_accelerator, start_run, training_dataset
from srtod.engine.signals import StopSignals
from srtod.engine.state import (
    BEST,
    LAST,
    Run,
    buffers_are_finite,
    check_output,
    clear_output,
    load_state,
    save_state,
    save_weights,
    write_recipe,
)
from srtod.engine.step import NotFiniteError, Steps
from srtod.recipes import Recipe, TrainRecipe
from srtod.support.errors import InputError


@dataclass(frozen=True)
class FitResult:
    """What a training run leaves behind.

    Attributes:
        last: the weights after the last epoch.
        best: the weights of the epoch with the best validation score; none where nothing was evaluated.
        scores: the last evaluation, metrics as fractions of 1; none where nothing was evaluated.
        steps: optimizer steps done.
    """

    last: Path
    best: Path | None
    scores: dict[str, float] | None
    steps: int


def fit(
    recipe: Recipe,
    train_set: AnnotatedSet,
    val_set: AnnotatedSet | None,
    output: Path,
    *,
    resume: bool = False,
    init: str | Path | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> FitResult:
    """Train a detector; everything it leaves behind stands in ``output``.

    Runs in as many processes, on as many machines, as ``accelerate launch`` or ``torchrun`` start.

    Args:
        recipe: what to train and how.
        train_set: images to learn from.
        val_set: images to evaluate on; without them there are no best weights.
        output: folder of config.yaml, metrics.jsonl, tensorboard/, last and best .safetensors, and state.pt.
        resume: go on from state.pt; start from the beginning where there is none yet.
        init: weights of an earlier detector to start from; a run that goes on takes no others.
        device: ``auto``, ``cpu`` or ``cuda``.
        quiet: show no progress.

    Raises:
        InputError: bad options, data, or output folder.
        NotFiniteError: a loss is not finite; names the images; the state before it is saved.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state is saved.
    """
    accelerator = start_accelerator(recipe.train, device, output)
    given, recipe = recipe, with_anchor_scale(recipe, train_set.records)
    on_main(accelerator, lambda: check_output(output, recipe, resume=resume))
    if not resume:
        on_main(accelerator, lambda: clear_output(output))
    dataset, data = training_dataset(
        recipe, train_set, val_set, quiet=quiet or not accelerator.is_main_process
    )
    batches = Batches(dataset, recipe.train, accelerator)
    init = None if init is None else str(init)
    state = _state_of_all(accelerator, output, data, init)
    if state is None and val_set is not None and recipe.train.evaluate_every:
        on_main(accelerator, lambda: _require_measurable(recipe.train.best_by, val_set))
    detector = new_detector(recipe, train_set.classes, init, bare=state is not None)
    run = start_run(accelerator, recipe, detector, output=output, data=data, init=init, state=state)
    on_main(accelerator, lambda: write_recipe(output, recipe))
    if run.false_alarms is not None:
        dataset.set_false_alarms(run.false_alarms)
    log = RunLog(run, steps=recipe.train.epochs * batches.steps_per_epoch, quiet=quiet)
    for line in [*chosen_keys(given, recipe), *introduction(recipe, run, batches, val_set)]:
        log.say(line)
    with log.open(), closing(batches):
        if state is None:
            save_state(run)  # of step 0: going on needs nothing else, neither ``init`` nor backbone file
        try:
            _train(recipe, batches, val_set, run, log)
        except KeyboardInterrupt:
            kept = f"the state after step {run.saved} is saved" if run.saved else "nothing is saved yet"
            log.say(f"interrupted: {kept} in {output}")
            raise
    best = output / BEST
    return FitResult(output / LAST, best if best.exists() else None, run.scores, run.step)


def _state_of_all(
    accelerator: Accelerator, output: Path, data: dict[str, Any], init: str | None
) -> dict[str, Any] | None:
    """Read the saved state in each process, and make sure that it is the same one."""
    with together(accelerator):
        state = load_state(output, data, init)
    steps = gather_object([None if state is None else state["step"]])
    if len(set(steps)) > 1:
        error = InputError(
            f"{output}: state.pt is not the same for all processes; put --output on a disk that all machines "
            "share, or copy state.pt of the first machine to all"
        )
        raise told_once(accelerator, error)
    return state


def _require_measurable(metric: Metric, val_set: AnnotatedSet) -> None:
    """Refuse a metric that no object of the validation set counts in: no weights would ever be the best."""
    if metrics.evaluate(val_set, joined([])).summary[metric] < 0:
        raise InputError(
            f"train.best_by: no object of {val_set.source} counts in {metric}, so no weights would be best; "
            "name another metric, validate on other data (--val-data), or train.evaluate_every=0"
        )


def _train(recipe: Recipe, batches: Batches, val_set: AnnotatedSet | None, run: Run, log: RunLog) -> None:
    """Go through the epochs that are left."""
    train, stop = recipe.train, StopSignals()
    with stop.watch():
        for epoch in range(run.epochs_done, train.epochs):
            if run.has_waited(train.patience, every=train.evaluate_every):
                log.say(f"stopped early: no better {train.best_by} since epoch {run.best_epoch}")
                break
            _train_epoch(epoch, train, batches, stop=stop, run=run, log=log)
            if val_set is not None and _is_due(train, epoch + 1):
                save_state(run)
                with stop.at_once():
                    run.scores = _validate(run, val_set, train.precision, batches.per_pass, quiet=log.quiet)
                better = _improves(run, run.scores[train.best_by])
                log.evaluation(epoch + 1, run.scores, best=better)
                if better:
                    run.best_epoch = epoch + 1
                    save_weights(run, BEST)
            every = recipe.data.mine_every
            if every and (epoch + 1) % every == 0 and epoch + 1 < train.epochs:
                save_state(run)
                with stop.at_once():
                    _mine(run, batches, train.precision, log)
            run.epochs_done = epoch + 1
            save_weights(run, LAST)
            save_state(run)


def _train_epoch(
    epoch: int, train: TrainRecipe, batches: Batches, *, stop: StopSignals, run: Run, log: RunLog
) -> None:
    """Go through the steps that are left of an epoch."""
    run.model.train()
    steps = Steps(run, train)
    done = run.step - epoch * batches.steps_per_epoch
    with closing(batches.epoch(epoch, first_step=done)) as loaded:
        for passes in loaded:
            steps.step(passes, learning_rate(train, run.step, batches.steps_per_epoch))
            if not steps.due(batches.steps_per_epoch):
                continue
            try:
                values, stopping = steps.read(stop=stop.asked, error=batches.error)
            except NotFiniteError as error:
                if on_main(run.accelerator, lambda: buffers_are_finite(run.detector)):
                    save_state(run)
                raise told_once(run.accelerator, error) from None
            log.train(epoch + 1, values, write=run.step % train.log_every == 0)
            if stopping:
                save_state(run)
                save_weights(run, LAST)
                raise KeyboardInterrupt
            if run.step % train.save_every == 0:
                save_state(run)


def _mine(run: Run, batches: Batches, precision: str, log: RunLog) -> None:
    """Look for false alarms in the training images, around which pieces are laid from now on."""
    run.false_alarms = mine(
        run, batches.dataset, precision=precision, batch_size=batches.per_pass, quiet=log.quiet
    )
    batches.dataset.set_false_alarms(run.false_alarms)
    wrong = ~run.false_alarms[:, :, 0].isnan()
    log.say(
        f"mined: {int(wrong.sum())} false alarms of at least {LEAST_SCORE}, in "
        f"{int(wrong.any(dim=1).sum())} of {len(wrong)} training images"
    )


def _is_due(train: TrainRecipe, epoch: int) -> bool:
    """Tell whether to evaluate after an epoch, counted from 1; the last one is, unless none is."""
    every = train.evaluate_every
    return every > 0 and (epoch % every == 0 or epoch == train.epochs)


def _validate(
    run: Run, val_set: AnnotatedSet, precision: str, batch_size: int, *, quiet: bool
) -> dict[str, float]:
    """Return the metrics of the detector as it would be saved, in every process."""
    found = detect(
        run.shown,
        DetectionDataset(val_set.records, classes=val_set.classes),
        precision=precision,
        batch_size=batch_size,
        progress=not quiet,
        accelerator=run.accelerator,
    )
    return on_main(run.accelerator, lambda: dict(metrics.evaluate(val_set, found).summary))


def _improves(run: Run, score: float) -> bool:
    """Note the score if it is the best so far; a negative one means that there was nothing to find."""
    better = score >= 0 and (run.best is None or score > run.best)
    if better:
        run.best = score
    return better
