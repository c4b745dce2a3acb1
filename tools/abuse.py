"""Hostile files and clients against readers and server: ``tools/abuse.py [--inputs N] [--json FILE]``.

Everything is made from a fixed seed, and the server listens on loopback alone. Files: small sound ones with
bytes flipped, cut, doubled or replaced, and bombs: what is neither taken nor refused in one line is a trace.
Server: such files as uploads, requests that are none, connections that are silent, while another user sends a
small image again and again. One row a class; ends with 1 where there is a trace, a 5xx but 503 (busy) and 504
(out of time), a wait of the other user beyond ``--wait``, or more memory than ``--memory``.
"""

import argparse
import io
import logging
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

import srtod
from srtod import data
from srtod.data.conversion import write_sets
from srtod.data.images import read_image
from srtod.data.records import AnnotatedSet, ImageRecord
from srtod.support.errors import InputError
from srtod.support.files import write_json
from srtod.support.provenance import provenance

MEGA = 2**20
SIZE = (96, 72)
IMAGE_KINDS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")


@dataclass
class Row:
    """What became of the inputs of one class."""

    name: str
    tried: int = 0
    accepted: int = 0
    refused: int = 0
    busy: int = 0
    traces: list[str] = field(default_factory=list)
    longest: float = 0.0


def picture(kind: str) -> bytes:
    """The bytes of a small sound image."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    Image.fromarray(pixels).save(stream, kind, **({"progressive": True} if kind == "JPEG" else {}))
    return stream.getvalue()


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The same with some bytes flipped, cut off, doubled, or replaced by extreme numbers."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(max(len(made), 1))
        change = chance.choice(("flip", "flip", "cut", "double", "number"))
        if change == "flip" and made:
            made[place] ^= 1 << chance.randrange(8)
        elif change == "cut":
            del made[place : place + chance.randint(1, 64)]
        elif change == "double":
            made[place:place] = made[place : place + chance.randint(1, 64)]
        else:
            made[place : place + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"1e99"))
    return bytes(made)


def bombs() -> dict[str, bytes]:
    """Small files that ask for minutes or gigabytes."""
    jpeg = picture("JPEG")
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    tags = struct.pack("<H", 9)
    tiles = 500_000
    values = (
        (256, 4, 1, 1000),
        (257, 4, 1, 500),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (322, 4, 1, 1),
    )
    values += ((323, 4, 1, 1), (324, 4, tiles, 122), (325, 4, tiles, 122 + 4 * tiles))
    tags += b"".join(struct.pack("<HHII", *value) for value in values) + bytes(4)
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return {
        "scans.jpg": jpeg[:-2] + scan * 20_000 + b"\xff\xd9",
        "tiles.tif": b"II*\0\x08\0\0\0" + tags + bytes(8 * tiles),
        "pixels.png": b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk)),
        "empty.jpg": b"",
    }


@contextmanager
def sets() -> Generator[dict[str, Path]]:
    """A small sound set in each layout that is written."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "one.png").write_bytes(picture("PNG"))
        record = ImageRecord(
            1,
            "one.png",
            root / "one.png",
            *SIZE,
            np.array([[5, 6, 15, 18], [30, 20, 40, 33]], float),
            np.array([0, 1]),
            np.zeros(2, bool),
            np.array([1, 2]),
        )
        whole = AnnotatedSet(root, "coco", "train", ("cat", "dog"), (record,))
        layouts = ("coco", "yolo", "voc", "visdrone")
        for layout in layouts:
            write_sets([whole], root / layout, layout, link=False, progress=False)
        yield {layout: root / layout for layout in layouts}


def attempt(row: Row, action: Callable[[], object], name: str) -> None:
    """Do it: done, refused in one line, or a trace."""
    row.tried += 1
    begun = time.perf_counter()
    try:
        action()
        row.accepted += 1
    except InputError as error:
        row.refused += 1
        if "\n" in str(error):
            row.traces.append(f"{name}: more than a line")
    except Exception as error:
        row.traces.append(f"{name}: {type(error).__name__}: {error}"[:200])
    row.longest = max(row.longest, time.perf_counter() - begun)


def on_readers(inputs: int, chance: random.Random, folder: Path) -> Iterator[Row]:
    """Images, label files of each layout and weights, mutated."""
    row = Row("images")
    for number in range(inputs):
        kind = chance.choice(IMAGE_KINDS)
        path = folder / f"{number}.{kind.lower()}"
        path.write_bytes(mutated(picture(kind), chance))
        attempt(row, lambda path=path: read_image(path), f"{kind} {number}")
        path.unlink()
    yield row
    row = Row("bombs")
    for name, content in bombs().items():
        (folder / name).write_bytes(content)
        attempt(row, lambda name=name: read_image(folder / name), name)
    yield row
    with sets() as sound:
        for layout, root in sound.items():
            row = Row(f"{layout} sets")
            texts = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix != ".png"]
            for number in range(inputs):
                path = chance.choice(texts)
                before = path.read_bytes()
                path.write_bytes(mutated(before, chance))
                read = lambda root=root: [data.read(root, split=split) for split in data.splits(root)]  # noqa: E731
                attempt(row, read, f"{layout} {path.name} {number}")
                path.write_bytes(before)
            yield row
    yield on_weights(inputs, chance, folder)


def on_weights(inputs: int, chance: random.Random, folder: Path) -> Row:
    """Weights whose header is mutated; their numbers say nothing by themselves."""
    row, sound, path = Row("weights"), folder / "sound.safetensors", folder / "w.safetensors"
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "pyramid_channels": 8,
        "box_channels": 8,
        "self_reconstruction": False,
    }
    srtod.build_detector("faster-rcnn", classes=("drone",), **settings).save(sound)
    content = sound.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    for number in range(inputs // 4):
        path.write_bytes(mutated(content[:end], chance) + content[end:])
        attempt(row, lambda: srtod.load(path), f"weights {number}")
    return row


@contextmanager
def server() -> Generator[tuple[str, psutil.Process, Path]]:
    """``srtod serve`` with the shipped weights: its address, its process and its log."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        command = [sys.executable, "-m", "srtod.cli.main", "serve", "--port", "0", "--max-megapixels", "1"]
        with subprocess.Popen(
            command, stderr=log, stdout=log, env=os.environ | {"OMP_NUM_THREADS": "1"}
        ) as process:
            try:
                yield _address(Path(log.name), process), psutil.Process(process.pid), Path(log.name)
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        with suppress(StopIteration):
            return next(line for line in log.read_text().splitlines() if line.startswith("http")).split(" ")[
                0
            ]
        time.sleep(0.2)
    raise SystemExit(f"the server did not start: {log.read_text()}")


@dataclass
class OtherUser:
    """Sends a small image again and again, and remembers the longest wait and the most memory."""

    address: str
    process: psutil.Process
    longest: float = 0.0
    asked: int = 0
    busy: int = 0
    failed: int = 0
    memory: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def beside(self) -> Generator[None]:
        """Ask while something else is done."""
        thread = threading.Thread(target=self._ask, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(60)

    def _ask(self) -> None:
        image = {"file": ("mine.png", picture("PNG"), "image/png")}
        client = httpx2.Client(base_url=self.address, timeout=60)  # made once: a second of certificates
        while not self._stop.wait(0.3):
            begun = time.perf_counter()
            try:
                status = client.post("/detect", files=image).status_code
            except httpx2.HTTPError:
                status = 0
            self.busy += status == 503
            self.failed += status not in (200, 503)
            self.asked += 1
            self.longest = max(self.longest, time.perf_counter() - begun)
            with suppress(psutil.Error):
                family = [self.process, *self.process.children(recursive=True)]
                self.memory = max(self.memory, sum(own.memory_info().rss for own in family))


def on_server(inputs: int, chance: random.Random, address: str) -> Iterator[Row]:
    """Uploads, requests that are none, and connections that only take a place."""
    row = Row("uploads")
    for number in range(inputs):
        kind, route = chance.choice(IMAGE_KINDS), chance.choice(("detect", "picture"))
        _post(row, f"{address}/{route}", mutated(picture(kind), chance), f"{kind} {number}")
    yield row
    row = Row("bombs at once")
    with ThreadPoolExecutor(4) as pool:
        for name, content in [*bombs().items()] * 2:
            pool.submit(_post, row, f"{address}/detect", content, name)
    yield row
    row, where = Row("raw requests"), address.removeprefix("http://").split(":")
    sound = f"POST /detect HTTP/1.1\r\nHost: {where[0]}\r\nContent-Length: 5\r\n\r\n12345".encode()
    for _ in range(inputs):
        with suppress(OSError), socket.create_connection((where[0], int(where[1])), timeout=20) as raw:
            raw.sendall(mutated(sound, chance))
            raw.shutdown(socket.SHUT_WR)
            _count(row, int(raw.recv(64)[9:12] or b"400"), "raw")
    yield row
    row = Row("silent connections")
    with ExitStack() as stack:
        for _ in range(96):
            silent = stack.enter_context(socket.create_connection((where[0], int(where[1])), timeout=20))
            silent.sendall(b"GET / HTTP/1.1\r\n")
            row.tried += 1
        begun = time.perf_counter()
        _count(row, httpx2.get(f"{address}/health", timeout=60).status_code, "health")
        row.longest = time.perf_counter() - begun
    yield row


def _post(row: Row, url: str, content: bytes, name: str) -> None:
    begun = time.perf_counter()
    answered = httpx2.post(url, files={"file": (name, content)}, timeout=180)
    row.longest = max(row.longest, time.perf_counter() - begun)
    _count(row, answered.status_code, name)


def _count(row: Row, status: int, name: str) -> None:
    row.tried += 1
    row.accepted += status < 400
    row.busy += status == 503
    row.refused += 400 <= status < 500 or status == 504
    if status >= 500 and status not in (503, 504):
        row.traces.append(f"{name}: answered by {status}")


def show(rows: list[Row]) -> None:
    """Print a row a class."""
    table = Table("class", "tried", "taken", "refused", "busy", "traces, 5xx", "longest s")
    for row in rows:
        numbers = (row.tried, row.accepted, row.refused, row.busy, len(row.traces))
        table.add_row(row.name, *(f"{number:,}" for number in numbers), f"{row.longest:.1f}")
    console = Console(width=120)
    console.print(table)
    for trace in [trace for row in rows for trace in row.traces][:20]:
        console.print(trace, markup=False, style="red")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=200, help="of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wait", type=float, default=2.0, help="longest wait of another user, in seconds")
    parser.add_argument(
        "--memory", type=float, default=3.0, help="most of the server and its processes, in GB"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(on_readers(options.inputs, chance, Path(folder)))
    with server() as (address, process, log):
        other = OtherUser(address, process)
        with other.beside():
            rows += on_server(options.inputs, chance, address)
        logged = Counter(line for line in log.read_text().splitlines() if line.startswith("Traceback"))
    show(rows)
    print(
        f"another user asked {other.asked} times, was told {other.busy} times that the server is busy, was "
        f"refused {other.failed} times, and waited {other.longest:.2f} s at most; server and its processes: "
        f"{other.memory / 1e9:.2f} GB at most; traces in its log: {logged.total()}"
    )
    if options.json is not None:
        told = {"seed": options.seed, "rows": [vars(row) for row in rows], "longest_wait": other.longest}
        write_json(options.json, provenance("cpu") | told | {"memory": other.memory}, indent=2)
    too_much = other.longest > options.wait or other.memory > options.memory * 1e9
    served = other.busy < other.asked / 2 and not other.failed
    return int(any(row.traces for row in rows) or logged.total() > 0 or too_much or not served)


if __name__ == "__main__":
    sys.exit(main())
