"""What a detector costs beside time: floating-point operations and memory."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srtod.defaults import Precision
from srtod.detectors.detector import Detector
from srtod.detectors.zoo import build_detector
from srtod.inference.speed import for_inference
from srtod.support.devices import in_precision

GIB = 2**30

_STATUS = Path("/proc/self/status")  # of Linux alone


@dataclass(frozen=True)
class Setting:
    """Under which conditions costs are measured.

    Attributes:
        width, height: of the images in pixels.
        runs: timed passes of every detector.
        batch: images a pass.
        device: ``cpu`` or ``cuda``.
        precision: of the network's arithmetic.
        threads: of the CPU; None leaves torch's choice.
        fuse, channels_last, compiled: see :func:`~srtod.inference.speed.for_inference`.
        options: further options of :func:`srtod.build_detector`, such as ``backbone``.
    """

    width: int
    height: int
    runs: int = 5
    batch: int = 1
    device: str = "cpu"
    precision: Precision = "fp32"
    threads: int | None = None
    fuse: bool = True
    channels_last: bool = False
    compiled: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def images(self) -> list[Tensor]:
        """The images of a pass: noise, the same in every process."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(3, self.height, self.width, generator=generator).to(self.device)
        return [image] * self.batch

    def build(self, system: str, self_reconstruction: bool | dict[str, Any]) -> Detector:
        """A detector with random weights of which no candidate is dropped for its score.

        It gives out 100 detections, so that it keeps as many proposals and candidates as published settings.
        """
        torch.manual_seed(0)
        options: dict[str, Any] = {
            "score_threshold": 0.0,
            "detections_per_image": 100,
            **dict(self.options),
        }
        detector = build_detector(system, num_classes=1, self_reconstruction=self_reconstruction, **options)
        return detector.to(self.device).eval()

    def fast(self, detector: Detector) -> Detector:
        """The copy that is measured."""
        return for_inference(
            detector, fuse=self.fuse, channels_last=self.channels_last, compiled=self.compiled
        )


@torch.inference_mode()
def run(detector: Detector, images: list[Tensor], setting: Setting) -> None:
    """One pass, to its end on the device."""
    with in_precision(setting.precision, torch.device(setting.device)):
        detector(images)
    if setting.device == "cuda":
        torch.cuda.synchronize()


def gflops(detector: Detector, setting: Setting) -> float:
    """GFLOPs of one image, a multiplication and an addition counted as two.

    Counted are convolutions, deformable ones too, and matrix products. Not counted is what costs time by the
    memory it moves: normalisation, activations, pooling of boxes, their selection.
    """
    counted: dict[Any, Any] = {torch.ops.torchvision.deform_conv2d: _deform_conv_flops}
    with FlopCounterMode(display=False, custom_mapping=counted) as counter:
        run(detector, setting.images()[:1], setting)
    return counter.get_total_flops() / 1e9


def peak_memories(
    detectors: Sequence[Detector],
    built_from: Sequence[tuple[str, bool | dict[str, Any]]],
    setting: Setting,
) -> Iterator[float | None]:
    """Peak GiB of weights and one pass of each detector.

    On a GPU this is the allocator's account of a second pass, so that what the first one prepares or compiles
    does not count. On a CPU each detector is built and run once in a process of its own; the peak of its
    resident memory counts, less what it held before. What goes wrong there is told on stderr.

    Args:
        detectors: what is measured.
        built_from: system and self-reconstruction of each.
        setting: the conditions.

    Yields:
        GiB, or None where that failed.
    """
    if setting.device == "cuda":
        yield from (_peak_on_gpu(detector, setting) for detector in detectors)
        return
    command = [sys.executable, "-m", __name__, json.dumps([built_from, asdict(setting)])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for _ in detectors:
            line = child.stdout.readline().strip() if child.stdout else ""
            yield float(line) if line else None


def resident_memory() -> int:
    """Bytes of memory that this process holds now."""
    return psutil.Process().memory_info().rss


def peak_memory() -> int:
    """Bytes that this process held at most: since :func:`forget_peak` on Linux, elsewhere since it began."""
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    return import_module("resource").getrusage(0).ru_maxrss  # macOS tells bytes


def forget_peak() -> None:
    """Start :func:`peak_memory` anew, which only Linux can."""
    if _STATUS.exists():
        _STATUS.with_name("clear_refs").write_text("5", encoding="utf-8")


def _deform_conv_flops(
    inputs: tuple[int, ...], weight: tuple[int, ...], *_: Any, out_shape: tuple[int, ...], **__: Any
) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _peak_on_gpu(detector: Detector, setting: Setting) -> float:
    images = setting.images()
    own = [*detector.parameters(), *detector.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in own)
    run(detector, images, setting)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run(detector, images, setting)
    return (weights + torch.cuda.max_memory_allocated() - before) / GIB


def _tell_peak(system: str, self_reconstruction: bool | dict[str, Any], setting: Setting) -> None:
    """Print the peak GiB of this process, which has done nothing yet."""
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    images = setting.images()
    before = resident_memory()
    detector = setting.fast(setting.build(system, self_reconstruction))
    forget_peak()
    run(detector, images, setting)
    sys.stdout.write(f"{(peak_memory() - before) / GIB}\n")


def _tell_peak_or_why_not(system: str, *arguments: Any) -> None:
    try:
        _tell_peak(system, *arguments)
    except Exception as error:
        sys.exit(f"{system}: memory not measured: {error or type(error).__name__}")


def _tell_peaks() -> None:
    """Print a line for each detector that the command line describes; an empty one where that failed.

    Why it failed stands on stderr.
    """
    built_from, values = json.loads(sys.argv[1])
    setting = Setting(**values | {"options": tuple(map(tuple, values["options"]))})
    start = "fork" if sys.platform == "linux" else "spawn"
    for system, self_reconstruction in built_from:
        task = multiprocessing.get_context(start).Process(
            target=_tell_peak_or_why_not, args=(system, self_reconstruction, setting)
        )
        task.start()
        task.join()
        if task.exitcode != 0:
            sys.stdout.write("\n")
        if task.exitcode is not None and task.exitcode < 0:
            sys.stderr.write(f"{system}: memory not measured: killed, perhaps for want of it\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _tell_peaks()
