"""Does self-reconstruction help, and which of its parts? Rows that differ in one thing each, several seeds.

    uv run benchmarks/study.py DATA --output STUDY --seeds 3 --json RESULT.json

Called again it goes on; --rows chooses, further rows and seeds may be asked for later. Every row is compared
seed by seed with the row that has the same anchors and no self-reconstruction; all else is the same. Without
internet add --set model.pretrained_backbone=FILE.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from srtod.reproduce.compare import compare
from srtod.reproduce.plan import Options
from srtod.reproduce.rows import Comparison, Row
from srtod.support.errors import SrtodError
from srtod.support.files import read_json, write_json

RECIPE = str(Path(__file__).with_suffix(".yaml"))
AUTHORS: dict[str, object] = {
    "head": "paper",
    "threshold": 0.1568627,
    "surrogate": "sign",
    "resize": "nearest",
    "padding": "include",
    "mask_gradient": "reconstruction",
}
OURS: dict[str, object] = AUTHORS | {
    "head": "lite",
    "threshold": 0.1,
    "surrogate": "sigmoid",
    "resize": "max",
    "padding": "exclude",
}


def _row(key: str, label: str, switches: Mapping[str, object] | None, *, anchor: int = 2) -> Row:
    """A row on anchors of a scale, compared with the plain one on the same."""
    plain = "base" if anchor == 2 else f"base-{anchor}"
    changes = (f"model.anchor_scale={anchor}",)
    if switches is not None:
        changes += (
            f"model.self_reconstruction={yaml.safe_dump(dict(switches), default_flow_style=True).strip()}",
        )
    return Row(key, label, RECIPE, changes, None if switches is None else plain)


GATED = OURS | {"enhancement": "gated", "mask_gradient": "threshold"}
PAINTED = GATED | {"target": "painted", "filtration": "quantile"}
ROWS = (
    _row("base", "base", None),
    _row("authors", "the authors' SR-TOD", AUTHORS),
    _row("loss", "reconstruction loss alone, lite head", OURS | {"enhancement": "none"}),
    _row("loss-paper", "reconstruction loss alone, paper's head", AUTHORS | {"enhancement": "none"}),
    _row("authors-gated", "authors', behind a gate", AUTHORS | {"enhancement": "gated"}),
    _row("gated", "ours behind a gate, difference detached", GATED),
    _row("normalised", "the same, its mean taken out", GATED | {"enhancement": "normalised"}),
    _row("add", "the mask added", GATED | {"enhancement": "add"}),
    _row("phases", "gated, the head learns first", GATED | {"opens_after": 200}),
    _row("head-alone", "gated, the loss teaches the head alone", GATED | {"losses_teach": "heads"}),
    _row("quantile", "gated, a twentieth of the cells set", GATED | {"filtration": "quantile"}),
    _row(
        "relative",
        "the same of the relative difference",
        GATED | {"filtration": "quantile", "difference": "relative"},
    ),
    _row("background", "the same, no loss on objects", PAINTED | {"target": "background"}),
    _row("painted", "the same, objects painted over", PAINTED),
    _row(
        "high-pass",
        "control: a high-pass as the mask",
        GATED | {"filtration": "quantile", "difference": "high-pass", "loss_weight": 0},
    ),
    _row(
        "object-map",
        "map of objects in training alone",
        OURS | {"enhancement": "none", "loss_weight": 0, "object_map_weight": 10},
    ),
    _row("authors-sigmoid", "authors', threshold with a gradient", AUTHORS | {"surrogate": "sigmoid"}),
    _row("authors-max", "authors', max resize", AUTHORS | {"resize": "max"}),
    _row("authors-area", "authors', area resize", AUTHORS | {"resize": "area"}),
    _row("authors-lite", "authors', lite head", AUTHORS | {"head": "lite"}),
    _row("authors-exclude", "authors', padding left out", AUTHORS | {"padding": "exclude"}),
    _row("ours", "these four together (max)", OURS),
    _row("soft", "ours, soft mask, area", OURS | {"filtration": "soft", "resize": "area"}),
    _row("levels", "ours, on two levels", OURS | {"levels": 2}),
    _row("distilled", "ours, mask distilled", OURS | {"mask": "distilled"}),
    _row("boxes", "ours, mask taught by boxes", OURS | {"mask": "boxes"}),
    _row("residual", "lost pixels given back", OURS | {"enhancement": "residual"}),
    _row(
        "residual-levels",
        "lost pixels given back, on two levels",
        OURS | {"enhancement": "residual", "levels": 2},
    ),
    _row(
        "image",
        "the image's pixels added (no reconstruction)",
        OURS | {"enhancement": "image", "loss_weight": 0},
    ),
    _row("base-4", "base, anchors 4", None, anchor=4),
    _row("authors-4", "the authors' SR-TOD, anchors 4", AUTHORS, anchor=4),
    _row("base-8", "base, anchors 8", None, anchor=8),
    _row("authors-8", "the authors' SR-TOD, anchors 8", AUTHORS, anchor=8),
)


def run(about: str, title: str, rows: tuple[Row, ...]) -> int:
    """Run a comparison as the command line asks for it.

    Args:
        about: what the script is for.
        title: of the table.
        rows: all that may be asked for.
    """
    options = _options(about, [row.key for row in rows])
    asked = Options(
        seeds=options.seeds,
        epochs=options.epochs,
        fraction=options.fraction,
        scale="full",
        changes=tuple(options.changes),
        device=options.device,
    )
    chosen = [row for row in rows if row.key in options.rows]
    try:
        print(compare(Comparison(title, rows), options.data, options.output, rows=chosen, options=asked))
    except SrtodError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.json is not None:
        write_json(options.json, read_json(options.output / "table.json"), indent=2)
    return 0


def _options(about: str, known: list[str]) -> argparse.Namespace:
    def keys(text: str) -> list[str]:
        if unknown := [key for key in text.split(",") if key not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: the rows are {', '.join(known)}")
        return text.split(",")

    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=keys, default=known, metavar="KEY,KEY")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--fraction", type=float)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run(__doc__, "Does self-reconstruction help?", ROWS))
