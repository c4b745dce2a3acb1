"""``srtod recipes``: what is shipped, and what a recipe says in full."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from srtod.cli import options as opt


class NamesAsCommands(TyperGroup):
    """``recipes NAME`` is short for ``recipes show NAME``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of the first word."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


app = typer.Typer(
    help="List the shipped recipes, or show one in full: srtod recipes NAME.",
    cls=NamesAsCommands,
    invoke_without_command=True,
)


@app.callback()
def recipes(context: typer.Context) -> None:
    """List the shipped recipes: data set, detector, epochs, source."""
    if context.invoked_subcommand is not None:
        return
    from srtod.recipes import read_values, recipe_names  # shipped recipes name all that is shown

    table = Table(box=None)
    for title in ("recipe", "data set", "detector", "epochs", "source"):
        table.add_column(title, no_wrap=title == "recipe")
    for name in recipe_names():
        about, model, train = (read_values(name)[section] for section in ("about", "model", "train"))
        enhanced = " + self-reconstruction" if model.get("self_reconstruction") else ""
        detector, epochs = model["system"] + enhanced, str(train["epochs"])
        table.add_row(name, about.get("dataset", ""), detector, epochs, about["source"])
    Console(width=None if Console().is_terminal else 150).print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped recipe or a YAML file.")],
    set_: opt.Settings = None,
) -> None:
    """Show a recipe with every key, the defaults included."""
    from srtod.recipes import load_recipe, recipe_text

    typer.echo(recipe_text(load_recipe(name, set_ or ())), nl=False)
