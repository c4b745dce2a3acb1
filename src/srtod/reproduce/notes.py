"""What stands above a table: on what data, what was reduced, where and when."""

from collections.abc import Iterator, Sequence

from srtod.recipes import load_recipe
from srtod.reproduce.plan import Plan
from srtod.reproduce.rows import Row, resolve
from srtod.reproduce.runner import Result

_NOTHING = 0.001
"""AP below which a row has found nothing."""


def notes(plan: Plan, rows: Sequence[Row], results: Sequence[Result]) -> list[str]:
    """Return the lines: the data, the reductions, and the origin of the results."""
    return [
        _data(plan),
        _scale(plan),
        _epochs(plan, rows),
        *_changes(plan),
        "Percent. ± is the sample standard deviation over seeds; a gain is the mean difference from the base "
        "row, seed by seed. All numbers are of the last weights.",
        *_too_short(results),
        *_origin(results),
    ]


def _data(plan: Plan) -> str:
    data = plan.data
    train, held_out = (
        _count(data[f"{kind}_images"], data[f"{kind}_boxes"], share)
        for kind, share in (("train", plan.fraction), ("held_out", plan.held_out))
    )
    return (
        f"Data: {data['name']}, {len(data['classes'])} class(es). Trained on {train}; evaluated on "
        f"{held_out} of the split {data['held_out_split']!r}."
    )


def _count(images: int, boxes: int, share: float) -> str:
    if share == 1.0:
        return f"all {images} images ({boxes} boxes)"
    return f"{max(1, round(share * images))} of {images} images, chosen at random, the same for every row"


def _scale(plan: Plan) -> str:
    if plan.asked["--scale"] == "full":
        return "Scale: full, the recipes as they are but for what is named below."
    light = load_recipe("_light")
    model, train = light.model, light.train
    return (
        f"Scale: light, not the published setting: {model.backbone} from random weights, "
        f"{model.pyramid_channels} channels a level, {model.proposals[0]} proposals and "
        f"{model.detections_per_image} detections an image, training on pieces of {light.data.crop} px with "
        f"{train.optimizer}, learning rate {train.lr:g}, batch {train.batch_size}; images are not resized."
    )


def _epochs(plan: Plan, rows: Sequence[Row]) -> str:
    own = ", ".join(sorted({str(resolve(row, changes=plan.asked["--set"]).train.epochs) for row in rows}))
    if plan.epochs is None:
        return f"Epochs: {own}, as the recipes say."
    why = f", as many as fit {plan.asked['--budget']:g} minutes" if plan.asked["--budget"] else ""
    return f"Epochs: {plan.epochs} in place of {own}{why}; the schedule is shortened with them."


def _changes(plan: Plan) -> Iterator[str]:
    if plan.asked["--set"]:
        yield f"Changed in every row: {', '.join(plan.asked['--set'])}."


def _too_short(results: Sequence[Result]) -> Iterator[str]:
    if results and all(result.metrics["AP"] < _NOTHING for result in results):
        yield "No row found anything worth mentioning: too little training to compare them."


def _origin(results: Sequence[Result]) -> Iterator[str]:
    """Say where the numbers come from, one line for each machine and version that they were made with."""
    told: dict[str, list[str]] = {}
    for result in results:
        made, machine = result.provenance, result.provenance["machine"]
        device = machine["gpu"] or f"{machine['processor']}, {machine['threads']} thread(s)"
        commit = f", commit {made['commit'][:10]}" if made["commit"] else ""
        what = f"srtod {made['version']}{commit}, torch {machine['torch']}, on {device}"
        told.setdefault(what, []).append(made["date"])
    for what, dates in told.items():
        first, last = min(dates)[:10], max(dates)[:10]
        yield f"Made with {what}, {first if first == last else f'{first} to {last}'}."
