"""The command ``srtod VERB``: one module a verb, no logic."""

import sys

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
)
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
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(predict.predict)
app.command()(explain.explain)
app.command()(export.export)
app.command()(benchmark.benchmark)
app.add_typer(reproduce.app, name="reproduce")
app.command()(serve.serve)


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 bad arguments or data, 130 interrupted."""
    try:
        app()
    except SrtodError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
