"""What a run says of itself: metrics.jsonl, TensorBoard, and a progress bar or plain lines."""

import json
import math
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from srtod.engine.state import LOG, Run
from srtod.support.errors import InputError

_SECONDS_BETWEEN_LINES = 10.0
_TIMED_STEPS = 10
_LONG = timedelta(hours=2)


class RunLog:
    """The log of one run; does nothing outside the main process.

    What a killed run wrote into the files after its last saved state goes when they are opened.

    Args:
        run: the training run.
        steps: its steps in all.
        quiet: show nothing.
    """

    def __init__(self, run: Run, *, steps: int, quiet: bool = False) -> None:
        self._run, self._accelerator, self._path, self._steps = run, run.accelerator, run.output / LOG, steps
        self.quiet = quiet or not run.accelerator.is_main_process
        self._console = Console(stderr=True, quiet=self.quiet, highlight=False)
        self._first_step = self._looked_at = run.step
        self._estimated = False
        self._started = self._last_line = self._last_step = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    @contextmanager
    def open(self) -> Generator["RunLog"]:
        """Keep the files and the progress bar open inside the block."""
        purge = {"purge_step": self._first_step + 1}
        with self._writing():
            self._accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": purge})
            if self._accelerator.is_main_process:
                with self._path.open("ab") as file:
                    file.truncate(min(self._run.log_bytes, file.tell()))
        try:
            with self._progress_bar():
                self._started = self._last_step = time.monotonic()
                yield self
        finally:
            for tracker in self._accelerator.trackers:
                tracker.finish()

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def train(self, epoch: int, values: Mapping[str, float], *, write: bool) -> None:
        """Show the training step just done and, if ``write``, put it into the files.

        Args:
            epoch: counted from 1.
            values: losses under their own names, their sum as ``loss``, ``lr``, ``grad_norm``.
            write: this step is one of those that are logged.
        """
        step, now = self._run.step, time.monotonic()
        took, self._last_step = (now - self._last_step) / (step - self._looked_at), now
        self._looked_at = step
        if write:
            self._write("train", epoch, {**values, "seconds": took})
        text = "  ".join(
            f"{name.removeprefix('loss_')} {values[name]:.3g}" for name in values if name != "grad_norm"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, epoch=epoch, text=text)
        elif step in (self._first_step + 1, self._steps) or now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"epoch {epoch}  step {step}/{self._steps}  ETA {self._remaining(now)}  {text}")
        self._estimate(now)

    def evaluation(self, epoch: int, scores: Mapping[str, float], *, best: bool) -> None:
        """Show and write metrics, fractions of 1, or negative where there is nothing to find."""
        self._write("evaluation", epoch, scores)
        self._last_step = time.monotonic()
        shown = "  ".join(
            f"{name} {value:.3f}" if value >= 0 else f"{name} none" for name, value in scores.items()
        )
        self.say(f"epoch {epoch} evaluated: {shown}{'  (best so far)' if best else ''}")

    def _write(self, kind: str, epoch: int, values: Mapping[str, float]) -> None:
        if not self._accelerator.is_main_process:
            return
        step = self._run.step
        finite = {
            name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in values.items()
        }
        line = json.dumps({"kind": kind, "step": step, "epoch": epoch, **finite})
        with self._writing():
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._accelerator.log(
                {f"{kind}/{name}": v for name, v in finite.items() if v is not None}, step=step
            )

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self._path.parent}: the log cannot be written: {os.strerror(error.errno or 0)}; "
                "free space, then go on with --resume"
            ) from error

    @contextmanager
    def _progress_bar(self) -> Generator[None]:
        if not self._console.is_terminal or self._console.quiet:
            yield
            return
        columns: list[Any] = [
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn(
                "{task.fields[text]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
        ]
        with Progress(*columns, console=self._console, expand=True) as self._bar:
            self._task = self._bar.add_task(
                "", total=self._steps, completed=self._first_step, epoch="-", text="first step ..."
            )
            yield

    def _estimate(self, now: float) -> None:
        """Once enough steps are timed, say how long the training takes and, if that is hours, what to change.

        The first steps of a run are slower: memory is got and kernels are chosen.
        """
        timed = self._looked_at - self._first_step
        if self._estimated or timed < _TIMED_STEPS:
            return
        self._estimated = True
        left = self._remaining(now)
        if left > _LONG:
            self.say(
                f"this will take about {left.total_seconds() / 3600:.1f} hours and evaluation; fewer "
                "--epochs, a smaller --crop, a lighter model.backbone or a GPU shorten it (Ctrl-C saves)"
            )

    def _remaining(self, now: float) -> timedelta:
        speed = (now - self._started) / (self._run.step - self._first_step)
        return timedelta(seconds=round(speed * (self._steps - self._run.step)))
