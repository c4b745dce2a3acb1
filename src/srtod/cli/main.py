"""The command ``srtod VERB``: one module a verb, no logic."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import typer

from srtod.cli import (
    benchmark,
    data,
    evaluate,
    explain,
    export,
    predict,
    quickstart,
    recipes,
    reproduce,
    serve,
    train,
    visibility,
)
from srtod.cli.options import RecipeCommand
from srtod.support.errors import SrtodError

app = typer.Typer(
    name="srtod",
    help="Find tiny objects (2 to 32 pixels) in images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(quickstart.quickstart)
app.add_typer(data.app, name="data")
app.add_typer(recipes.app, name="recipes")
app.command(cls=RecipeCommand)(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(explain.explain)
app.command()(visibility.visibility)
app.command()(export.export)
app.command()(benchmark.benchmark)
app.add_typer(reproduce.app, name="reproduce")
app.command()(serve.serve)


class TorchNotice(MetaPathFinder):
    """Says that torch is being loaded, which takes seconds, before nothing is seen for so long."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Leave the finding to others."""
        if name == "torch":
            sys.meta_path.remove(self)
            print("loading torch ...", file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 bad arguments or data, 130 interrupted."""
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, TorchNotice())
    try:
        app()
    except SrtodError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
