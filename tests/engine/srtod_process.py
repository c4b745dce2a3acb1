"""Run by the fixture ``command`` in a forked process: becomes ``srtod WORDS`` and says it all to LOG."""

import contextlib
import os
import sys
from pathlib import Path

told = globals()
os.environ.update(told["ENVIRONMENT"])
sys.argv = ["srtod", *told["WORDS"]]
with (
    Path(told["LOG"]).open("a", buffering=1) as file,
    contextlib.redirect_stderr(file),
    contextlib.redirect_stdout(file),
):
    import torch

    from srtod.cli.main import main

    torch.set_num_threads(1)
    main()
