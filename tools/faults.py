"""Faults in the middle of the work: ``tools/faults.py [--kills N] [--fills N] [--verbs A,B] [--json FILE]``.

Each verb runs once undisturbed. Then it is ended at random moments by SIGKILL, SIGTERM or SIGINT, sent to its
process or to all of its group, and it writes to disks that are full after a random number of bytes. What is
left must be whole or not there (a file that lines are appended to: but for its last line), and the same
command, with ``--resume`` where the verb has it, must then give what the undisturbed run gave: for training,
the same weights to the bit. One row a verb; ends with 1 where something is lost. Linux alone: the small disks
are mounted in a namespace of the tool's own, which any user may have.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import psutil
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.torch import load_file

from srtod.support.files import write_json
from srtod.support.provenance import provenance

PRELOADED = ["srtod.cli.main", "srtod.engine.launch", "torch.utils.tensorboard", "srtod.inference.jobs", "av"]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDS = {0, 130, 143, -signal.SIGKILL}
LONGEST = 300
"""Seconds that a run may take."""
GRACE = 5
"""Seconds from a signal to the end of the process and its workers."""
PAGE = 4096
"""Bytes of which small disks consist."""
MODEL = "{backbone: test_resnet, anchor_scale: 4, pyramid_channels: 16, box_channels: 16, norm_eval: true}"
RECIPE = f"model: {MODEL}\ndata: {{crop: 96}}\ntrain: {{epochs: 3, batch_size: 2, lr: 0.01, workers: 1}}\n"


@dataclass(frozen=True)
class Verb:
    """A verb, what it writes, and which of that must be the same after a fault.

    Attributes:
        words: of the command but for the output.
        output: its option or place, and the name of the file or folder.
        resumes: whether it goes on where it was ended.
        kept: of its files, those that are compared; the others hold times.
    """

    name: str
    words: tuple[object, ...]
    output: tuple[str, ...]
    resumes: bool = False
    kept: Callable[[Path], bool] = lambda _: True

    def command(self, folder: Path, *, again: bool = False) -> list[str]:
        """The words of the command that writes below a folder."""
        *option, name = self.output
        more = ["--resume"] if again and self.resumes else []
        return [*map(str, self.words), *option, str(folder / name), *more]


@dataclass
class Row:
    """What became of the runs of one verb."""

    verb: str
    seconds: float
    killed: int = 0
    late: int = 0
    filled: int = 0
    fitted: int = 0
    slowest: float = 0.0
    lost: list[str] = field(default_factory=list)


def verbs(root: Path) -> list[Verb]:
    """Verbs on small data below a folder, which is made here."""
    recipe, video = root / "tiny.yaml", root / "short.mp4"
    recipe.write_text(RECIPE)
    data, weights = root / "data", root / "run" / "last.safetensors"
    small = ("--images", 6, "--test-images", 3, "--size", "240x180", "--workers", 2)
    _done(["data", "synthesize", str(data), *map(str, small)], root)
    _write_video(video)
    train = ("train", data, "--recipe", recipe, "--device", "cpu")
    _done([*map(str, train), "--output", str(root / "run")], root)
    look = ("--weights", weights, "--device", "cpu", "--score-threshold", "0.01")
    images = data / "train"
    return [
        Verb("train", train, ("--output", "run"), True, lambda path: path.suffix == ".safetensors"),
        Verb("predict", ("predict", images, *look), ("--output", "found"), True),
        Verb("video", ("predict", video, *look), ("--output", "seen"), True),
        Verb("convert", ("data", "convert", data, "--to", "yolo"), ("set",)),
        Verb("synthesize", ("data", "synthesize", *small), ("set",)),
        Verb("export", ("export", "--weights", weights, "--format", "onnx"), ("--output", "tiny.onnx")),
        Verb(
            "evaluate",
            ("evaluate", data, "--weights", weights, "--device", "cpu"),
            ("--json", "metrics.json"),
        ),
    ]


def _write_video(path: Path) -> None:
    chance = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 160, 128
        for _ in range(8):
            pixels = chance.integers(0, 255, (128, 160, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        file.mux(stream.encode())


def _run(words: list[str], log: str) -> None:
    """Become ``srtod WORDS`` in a session of its own; what it says goes to ``log``."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
    sys.argv = ["srtod", *words]
    with Path(log).open("w", buffering=1) as file, redirect_stderr(file), redirect_stdout(file):
        from srtod.cli.main import main as verb

        torch.set_num_threads(1)
        verb()


def _started(words: list[str], root: Path) -> BaseProcess:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=_run, args=(words, str(root / "log")))
    process.start()
    return process


def _done(words: list[str], root: Path) -> int:
    process = _started(words, root)
    process.join(LONGEST)
    if process.is_alive():
        process.kill()
    code = process.exitcode
    return -1 if code is None else code


def content(verb: Verb, folder: Path) -> dict[str, Any]:
    """What the files of an output hold, by name; hidden ones are scratch.

    Raises:
        Exception: one is not whole.
    """
    output = folder / verb.output[-1]
    files = [output] if output.is_file() else sorted(output.rglob("*"))
    held = {}
    for path in files:
        if path.is_file() and not path.name.startswith("."):
            read = _content(path)
            if verb.kept(path):
                held[path.name] = read
    return held


def _content(path: Path) -> Any:
    return _READERS.get(path.suffix, Path.read_bytes)(path)


def _tensors(path: Path) -> dict[str, str]:
    return {name: hashlib.sha256(value.numpy()).hexdigest() for name, value in load_file(path).items()}


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]


def _pixels(path: Path) -> str:
    with Image.open(path) as image:
        return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def _frames(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def _program(path: Path) -> str:
    onnx.checker.check_model(onnx.load(str(path)))
    return "a sound program"


_READERS: dict[str, Callable[[Path], Any]] = {
    ".safetensors": _tensors,
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": _lines,
    ".png": _pixels,
    ".jpg": _pixels,
    ".mp4": _frames,
    ".onnx": _program,
    ".pt": lambda path: len(torch.load(path, weights_only=True)),
}


def try_kill(verb: Verb, row: Row, chance: random.Random, root: Path, sound: dict[str, Any]) -> None:
    """End it at a random moment, look at what is there, and let it go on."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder, number, to_all = Path(name), chance.choice(SIGNALS), chance.random() < 0.5
        process = _started(verb.command(folder), root)
        process.join(chance.uniform(0.05, 0.95) * row.seconds)
        what = f"{verb.name}, {number.name} to {'all' if to_all else 'one'}"
        begun = time.perf_counter()
        if (workers := _signalled(process, number, to_all=to_all)) is None:
            row.late += 1
        else:
            row.killed += 1
            process.join(LONGEST)
            alive = psutil.wait_procs(workers, timeout=GRACE)[1]
            row.slowest = max(row.slowest, time.perf_counter() - begun)
            if alive:
                row.lost.append(f"{what}: {len(alive)} workers live on")
        if process.exitcode not in ENDS:
            row.lost.append(f"{what}: ended with {process.exitcode}")
        _judge(verb, row, what, folder, root, sound, removed=number is not signal.SIGKILL)


def _signalled(process: BaseProcess, number: int, *, to_all: bool) -> list[psutil.Process] | None:
    """Send a signal; return the workers that the process had, or None where it has ended by itself."""
    assert process.pid is not None
    try:
        workers = psutil.Process(process.pid).children(recursive=True)
        (os.killpg if to_all else os.kill)(process.pid, number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    return workers


def try_full(verb: Verb, row: Row, chance: random.Random, root: Path, sound: dict[str, Any]) -> None:
    """Let it write to a disk that is soon full, look at what is there, and let it go on with more room."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder = Path(name)
        size = chance.randint(0, int(1.2 * sound["bytes"]) // PAGE) * PAGE
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + PAGE}", "tmpfs", name], check=True)
        (folder / "full").write_bytes(bytes(PAGE))
        try:
            code, what = _done(verb.command(folder), root), f"{verb.name}, {size:,} bytes"
            row.filled += code != 0
            row.fitted += code == 0
            told = (root / "log").read_text()
            if code not in (0, 2) or (code == 2 and "No space left" not in told):
                row.lost.append(f"{what}: ended with {code}: {told[-300:]}")
            subprocess.run(["mount", "-o", "remount,size=1g", name], check=True)
            _judge(verb, row, what, folder, root, sound, removed=True)
        finally:
            subprocess.run(["umount", name], check=True)


def _judge(
    verb: Verb, row: Row, what: str, folder: Path, root: Path, sound: dict[str, Any], *, removed: bool
) -> None:
    """Note what is not whole, not told in a line, or not as it would have been."""
    told = (root / "log").read_text()
    if "Traceback" in told:
        row.lost.append(f"{what}: a trace: {told[-500:]}")
    left = _scratch(folder)
    if removed and left:
        row.lost.append(f"{what}: left {left[0]}")
    try:
        held = content(verb, folder)
    except Exception as error:
        row.lost.append(f"{what}: not whole: {type(error).__name__}: {error}"[:300])
        return
    finished = held == sound["content"]
    if not verb.resumes and (finished or not (held or left)):
        return  # nothing is there, and from nothing the undisturbed run came, too
    if held and not verb.resumes:
        row.lost.append(f"{what}: there, and not as it should be")
        return
    code = _done(verb.command(folder, again=True), root)
    if code != 0:
        row.lost.append(f"{what}: then ended with {code}: {(root / 'log').read_text()[-300:]}")
    elif content(verb, folder) != sound["content"]:
        row.lost.append(f"{what}: then not as it should be")
    if left := _scratch(folder):
        row.lost.append(f"{what}: then left {left[0]}")


def _scratch(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def tried(verb: Verb, kills: int, fills: int, chance: random.Random, root: Path) -> Row:
    """Try one verb."""
    with tempfile.TemporaryDirectory(dir=root) as name:
        begun = time.perf_counter()
        if _done(verb.command(Path(name)), root) != 0:
            raise SystemExit(f"{verb.name}: fails undisturbed: {(root / 'log').read_text()}")
        row = Row(verb.name, time.perf_counter() - begun)
        size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())
        sound = {"content": content(verb, Path(name)), "bytes": size}
    for number in track(range(1, kills + 1), f"{verb.name}: kills", transient=True):
        while row.killed < number:
            try_kill(verb, row, chance, root, sound)
    for _ in track(range(fills), f"{verb.name}: full disks", transient=True):
        try_full(verb, row, chance, root, sound)
    return row


def show(rows: list[Row]) -> None:
    """Print a row a verb."""
    table = Table("verb", "s", "killed", "was done", "disk full", "had room", "slowest end, s", "lost")
    for row in rows:
        numbers = (row.killed, row.late, row.filled, row.fitted)
        table.add_row(
            row.verb, f"{row.seconds:.1f}", *map(str, numbers), f"{row.slowest:.1f}", str(len(row.lost))
        )
    console = Console(width=120)
    console.print(table)
    for lost in [lost for row in rows for lost in row.lost]:
        console.print(lost, markup=False, style="red")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="of each verb")
    parser.add_argument("--fills", type=int, default=10, help="full disks of each verb")
    parser.add_argument("--verbs", type=lambda text: text.split(","), metavar="VERB,VERB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if os.environ.get("SRTOD_FAULTS") is None:  # again, where mounting is allowed and nobody else sees it
        space = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, *sys.argv]
        return subprocess.run(space, check=False, env=os.environ | {"SRTOD_FAULTS": "1"}).returncode
    chance, rows = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        for verb in verbs(Path(folder)):
            if options.verbs is None or verb.name in options.verbs:
                rows.append(tried(verb, options.kills, options.fills, chance, Path(folder)))
    show(rows)
    if options.json is not None:
        told = {"seed": options.seed, "rows": [vars(row) for row in rows]}
        write_json(options.json, provenance("cpu") | told, indent=2)
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main())
