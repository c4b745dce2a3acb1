"""The command ``srtod VERB``: one module a verb, no logic."""

import errno
import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from pathlib import Path
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
from srtod.cli import options as opt
from srtod.support.errors import InputError, SrtodError, first_line, shown
from srtod.support.signals import EndingSignals

_INTERRUPTED = 128 + signal.SIGINT
_MEMORY = (
    "out of memory: take smaller images or crops (--slice to predict, --crop to train), fewer at once "
    "(--batch-size), or another --device"
)

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
app.command(cls=opt.RecipeCommand)(train.train)
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
        """Leave the finding to others; in a folder that is gone, torch would end the process by itself."""
        if name == "torch":
            sys.meta_path.remove(self)
            try:
                Path.cwd()
            except FileNotFoundError:
                raise InputError("the working directory is gone; change to one that is there") from None
            print("loading torch ...", file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 bad arguments or data, 130 interrupted.

    SIGTERM and SIGHUP interrupt as Ctrl-C does, with exit code 143 and 129.
    """
    signals = EndingSignals()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of torch must not hold cores
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, TorchNotice())
    try:
        with signals.heard():
            app()
    except SrtodError as error:
        print(f"error: {shown(str(error))}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(signals.exit_code)
    except SystemExit as end:  # which typer makes of an interruption
        sys.exit(signals.exit_code if end.code == _INTERRUPTED else end.code)
    except Exception as error:
        if "SRTOD_DEBUG" in os.environ:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            print(f"error: {shown(str(error.filename)[:80])}...: too long for a name", file=sys.stderr)  # noqa: T201
            sys.exit(InputError.exit_code)
        if "torch" in sys.modules and _is_out_of_memory(error):
            print(f"error: {_MEMORY}", file=sys.stderr)  # noqa: T201
            sys.exit(1)
        print(f"error: {shown(_reported(error))}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _is_out_of_memory(error: Exception) -> bool:
    from srtod.inference.memory import is_out_of_memory

    return is_out_of_memory(error)


def _reported(error: Exception) -> str:
    """Keep the trace of an error that nobody foresaw in a file, and say where."""
    what = f"{type(error).__name__}: {first_line(error)[:300]}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{what}; the trace is shown with SRTOD_DEBUG=1"
    try:
        handle, name = tempfile.mkstemp(prefix="srtod-error-", suffix=".txt", text=True)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"srtod {version('srtod')}, Python {sys.version}\n{shlex.join(sys.argv)}\n\n")
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"unforeseen: {what}; please report it, with the trace that SRTOD_DEBUG=1 shows"
    return f"unforeseen: {what}; please report it, with the trace in {name}"


if __name__ == "__main__":
    main()
