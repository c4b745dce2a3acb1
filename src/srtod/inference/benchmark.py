"""What self-reconstruction costs beside the plain detector: operations, time and memory, in one run."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from math import prod
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from rich import box
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from srtod.defaults import Precision
from srtod.detectors.detector import Detector
from srtod.detectors.zoo import build_detector
from srtod.inference.speed import for_inference
from srtod.support.errors import first_line
from srtod.support.memory import forget_peak, peak_memory, resident_memory
from srtod.support.progress import say
from srtod.support.provenance import provenance
from srtod.support.signals import serve_parent

VARIANTS: dict[str, bool | dict[str, Any]] = {
    "base": False,
    "paper": {"head": "paper"},
    "lite": {"head": "lite"},
}
"""Self-reconstruction of each row: none, the paper's head, the light head."""

GIB = 2**30


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
    options: dict[str, Any] = field(default_factory=dict)

    def images(self) -> list[Tensor]:
        """The images of a pass: noise, the same in every process."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(3, self.height, self.width, generator=generator).to(self.device)
        return [image] * self.batch

    def build(self, system: str, variant: str) -> Detector:
        """A detector with random weights of which no candidate is dropped for its score.

        It gives out 100 detections, so that it keeps as many proposals and candidates as published settings.
        """
        torch.manual_seed(0)
        options: dict[str, Any] = {"score_threshold": 0.0, "detections_per_image": 100, **self.options}
        detector = build_detector(system, num_classes=1, self_reconstruction=VARIANTS[variant], **options)
        return detector.to(self.device).eval()

    def fast(self, detector: Detector) -> Detector:
        """The copy that is measured."""
        return for_inference(
            detector,
            fuse=self.fuse,
            channels_last=self.channels_last,
            compiled=self.compiled,
            precision=self.precision,
        )

    @torch.inference_mode()
    def run(self, detector: Detector, images: list[Tensor]) -> None:
        """One pass, to its end on the device."""
        detector(images)
        if self.device == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Cost:
    """What one detector costs.

    Attributes:
        system: name in the zoo.
        variant: key of :data:`VARIANTS`.
        parameters: millions.
        flops: GFLOPs of one image.
        latency: median seconds of a pass.
        spread: half the range between the quartiles of the latency, in seconds; None of a single run.
        throughput: images a second, at the median.
        ratio: median over the runs of latency / latency of the base in the same run.
        memory: peak GiB of weights and a pass; None where the system does not tell.
    """

    system: str
    variant: str
    parameters: float
    flops: float
    latency: float
    spread: float | None
    throughput: float
    ratio: float
    memory: float | None


def steps(systems: Sequence[str], setting: Setting) -> int:
    """How often :func:`measure` tells what it does next."""
    return len(systems) * len(VARIANTS) * (setting.runs + 2)


def measure(systems: Sequence[str], setting: Setting, *, on_step: Callable[[str], None]) -> list[Cost]:
    """Measure base, paper head and lite head of each system.

    In every run all detectors pass once, one after the other, so that a drift of the machine meets all alike.
    The variants of a system share the weights of pyramid and head. ``on_step`` is called with a word on what
    is done next.

    Raises:
        InputError: an unknown system or option.
    """
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    built = {system: _shared({name: setting.build(system, name) for name in VARIANTS}) for system in systems}
    operations: dict[tuple[str, str], tuple[float, float]] = {}
    fast: dict[tuple[str, str], Detector] = {}
    for system in systems:
        variants = built.pop(system)
        for name, detector in variants.items():
            on_step(f"{system}, {name}: operations")
            parameters = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
            operations[system, name] = parameters, gflops(detector, setting)
        copies = _shared({name: setting.fast(detector) for name, detector in variants.items()})
        fast |= {(system, name): detector for name, detector in copies.items()}
    memory: dict[tuple[str, str], float | None] = {}
    for key, detector in fast.items():
        on_step(f"{', '.join(key)}: memory")
        on_gpu = setting.device == "cuda"
        memory[key] = _peak_on_gpu(detector, setting) if on_gpu else peak_of_process(*key, setting)
    times = _time(fast, setting, on_step)
    return [
        Cost(
            *key,
            *operations[key],
            latency=statistics.median(own),
            spread=float(np.subtract(*np.percentile(own, (75, 25)))) / 2 if len(own) > 1 else None,
            throughput=setting.batch / statistics.median(own),
            ratio=statistics.median(a / b for a, b in zip(own, times[key[0], "base"], strict=True)),
            memory=memory[key],
        )
        for key, own in times.items()
    ]


def report(costs: Sequence[Cost], setting: Setting) -> dict[str, Any]:
    """The costs with all that they depend on, as plain values for JSON."""
    return {
        **provenance(setting.device),
        "setting": asdict(setting),
        "costs": [asdict(cost) for cost in costs],
    }


def cost_table(costs: Sequence[Cost], title: str) -> Table:
    """The costs as a table for the terminal."""
    table = Table(title=title, box=box.SIMPLE, padding=0, pad_edge=False)
    for column in ("system", "head"):
        table.add_column(column, no_wrap=True)
    for column in ("M par.", "GFLOPs", "ms", "±", "img/s", "x base", "GiB"):
        table.add_column(column, justify="right", no_wrap=True)
    for cost in costs:
        table.add_row(
            cost.system,
            "none" if cost.variant == "base" else cost.variant,
            f"{cost.parameters:.2f}",
            f"{cost.flops:.1f}",
            f"{cost.latency * 1e3:.1f}",
            "-" if cost.spread is None else f"{cost.spread * 1e3:.1f}",
            f"{cost.throughput:.3g}",
            f"{cost.ratio:.2f}",
            "-" if cost.memory is None else f"{cost.memory:.2f}",
            end_section=cost.variant == list(VARIANTS)[-1],
        )
    return table


def gflops(detector: Detector, setting: Setting) -> float:
    """GFLOPs of one image, a multiplication and an addition counted as two.

    Counted are convolutions, deformable ones too, and matrix products. Not counted is what costs time by the
    memory it moves: normalisation, activations, pooling of boxes, their selection.
    """

    def of_deform_conv(inputs: Any, weight: tuple[int, ...], *_: Any, out_shape: Any, **__: Any) -> int:
        return 2 * prod(out_shape) * prod(weight[1:])

    counted: dict[Any, Any] = {torch.ops.torchvision.deform_conv2d: of_deform_conv}
    with FlopCounterMode(display=False, custom_mapping=counted) as counter:
        setting.run(detector, setting.images()[:1])
    return counter.get_total_flops() / 1e9


def peak_of_process(system: str, variant: str, setting: Setting) -> float | None:
    """Peak GiB that a CPU needs for weights and one pass, measured in a process of its own.

    Where that fails, it is said on stderr why, and None is returned.
    """
    context = get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([__name__])
    try:
        with ProcessPoolExecutor(1, mp_context=context, initializer=serve_parent) as pool:
            return pool.submit(_peak_here, system, variant, setting).result()
    except BrokenProcessPool:
        reason = "killed, perhaps for want of it"
    except Exception as error:
        reason = first_line(error)
    say(f"{system}: memory not measured: {reason}")
    return None


def _peak_here(system: str, variant: str, setting: Setting) -> float:
    """Peak resident memory of this process, which has done nothing yet, less what it held before."""
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    images = setting.images()
    before = resident_memory()
    detector = setting.fast(setting.build(system, variant))
    forget_peak()
    setting.run(detector, images)
    return (peak_memory() - before) / GIB


def _peak_on_gpu(detector: Detector, setting: Setting) -> float:
    """By the allocator's account of a second pass: what the first one prepares or compiles does not count."""
    images = setting.images()
    own = [*detector.parameters(), *detector.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in own)
    setting.run(detector, images)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    setting.run(detector, images)
    return (weights + torch.cuda.max_memory_allocated() - before) / GIB


def _shared(variants: dict[str, Detector]) -> dict[str, Detector]:
    """Let all variants have pyramid and head of the base: the same boxes to look at, and less memory."""
    for detector in variants.values():
        detector.pyramid, detector.head = variants["base"].pyramid, variants["base"].head
    return variants


def _time(
    detectors: dict[tuple[str, str], Detector], setting: Setting, on_step: Callable[[str], None]
) -> dict[tuple[str, str], list[float]]:
    """Seconds of each pass, by system and variant."""
    images = setting.images()
    for detector in detectors.values():
        setting.run(detector, images)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in detectors}
    for number in range(setting.runs):
        for key, detector in detectors.items():
            on_step(f"{', '.join(key)}: run {number + 1} of {setting.runs}")
            start = time.perf_counter()
            setting.run(detector, images)
            times[key].append(time.perf_counter() - start)
    return times
