"""``srtod data``: synthesize, inspect, convert."""

import typer

app = typer.Typer(help="Make, look at and convert data sets.", no_args_is_help=True)
