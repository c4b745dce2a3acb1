"""What self-reconstruction costs beside the plain detector: parameters, FLOPs, latency, memory in one run."""

import platform
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from srtod.detectors.detector import Detector
from srtod.detectors.zoo import build_detector
from srtod.errors import InputError

VARIANTS: dict[str, bool | dict[str, Any]] = {
    "base": False,
    "paper": {"head": "paper"},
    "lite": {"head": "lite"},
}
"""Self-reconstruction of each row: none, the paper's head, the light head."""


@dataclass(frozen=True)
class Cost:
    """What one detector costs on one image.

    Attributes:
        system: name in the zoo.
        variant: key of :data:`VARIANTS`.
        parameters: millions.
        flops: GFLOPs of one image (a multiplication and an addition count as two), heads included.
        latency: median seconds an image.
        spread: half the range between the quartiles of the latency, in seconds.
        ratio: median over the rounds of latency / latency of the base in the same round.
        memory: peak GiB on a GPU; None on a CPU, where a process cannot tell one model's share.
    """

    system: str
    variant: str
    parameters: float
    flops: float
    latency: float
    spread: float
    ratio: float
    memory: float | None


@dataclass(frozen=True)
class Setting:
    """Under which conditions costs are measured.

    Attributes:
        width, height: of the image in pixels.
        rounds: timed rounds; every variant runs once in each, so that a drift of the machine meets all alike.
        device: ``cpu`` or ``cuda``.
        precision: ``float32`` or ``bfloat16`` (autocast).
        threads: of the CPU; None leaves torch's choice.
        options: further options of :func:`srtod.build_detector`, such as ``backbone``.
    """

    width: int
    height: int
    rounds: int = 5
    device: str = "cpu"
    precision: str = "float32"
    threads: int | None = None
    options: tuple[tuple[str, Any], ...] = ()


def measure(system: str, setting: Setting) -> Iterator[str | Cost]:
    """Measure base, paper head and lite head of one system.

    Yields:
        Words of progress, then one :class:`Cost` a variant.

    Raises:
        InputError: the device is not there.
    """
    if setting.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; leave --device out for the CPU")
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    torch.manual_seed(0)
    image = torch.rand(3, setting.height, setting.width, device=setting.device)
    detectors = {name: _build(system, switches, setting) for name, switches in VARIANTS.items()}
    flops, memory = {}, {}
    for name, detector in detectors.items():
        yield f"{system} {name}: counting"
        flops[name], memory[name] = _count(detector, image, setting)
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for number in range(setting.rounds):
        for name, detector in detectors.items():
            yield f"{system} {name}: round {number + 1} of {setting.rounds}"
            times[name].append(_seconds(detector, image, setting))
    for name, detector in detectors.items():
        parameters = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
        ratio = statistics.median(a / b for a, b in zip(times[name], times["base"], strict=True))
        latency, spread = statistics.median(times[name]), _half_quartile_range(times[name])
        yield Cost(system, name, parameters, flops[name], latency, spread, ratio, memory[name])


def report(costs: Sequence[Cost], setting: Setting) -> dict[str, Any]:
    """The costs with the conditions they were measured under, as plain values for JSON."""
    gpu = torch.cuda.get_device_name() if setting.device == "cuda" else None
    return {
        "setting": asdict(setting) | {"options": dict(setting.options)},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "gpu": gpu,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "peak_process_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        },
        "costs": [asdict(cost) for cost in costs],
    }


def _build(system: str, switches: bool | dict[str, Any], setting: Setting) -> Detector:
    options: dict[str, Any] = {"score_threshold": 0.0, **dict(setting.options)}
    detector = build_detector(system, num_classes=1, self_reconstruction=switches, **options)
    return detector.to(setting.device).eval()


def _precision(setting: Setting) -> AbstractContextManager[Any]:
    if setting.precision == "float32":
        return nullcontext()
    return torch.autocast(setting.device, dtype=torch.bfloat16)


@torch.inference_mode()
def _count(detector: Detector, image: torch.Tensor, setting: Setting) -> tuple[float, float | None]:
    """GFLOPs and peak GiB of one image; also the warm-up."""
    on_gpu = setting.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with FlopCounterMode(display=False) as counter, _precision(setting):
        detector([image])
    memory = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
    return counter.get_total_flops() / 1e9, memory


@torch.inference_mode()
def _seconds(detector: Detector, image: torch.Tensor, setting: Setting) -> float:
    start = time.perf_counter()
    with _precision(setting):
        detector([image])
    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _half_quartile_range(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return (quartiles[2] - quartiles[0]) / 2


def cost_table(costs: Sequence[Cost], title: str) -> Table:
    """The costs as a table for the terminal."""
    on_gpu = any(cost.memory is not None for cost in costs)
    table = Table(title=title)
    for column in ("system", "head"):
        table.add_column(column, no_wrap=True)
    for column in ("M params", "GFLOPs", "ms, median", "± ms", "x base", *(["peak GiB"] if on_gpu else [])):
        table.add_column(column, justify="right", no_wrap=True)
    for cost in costs:
        table.add_row(
            cost.system,
            "none" if cost.variant == "base" else cost.variant,
            f"{cost.parameters:.2f}",
            f"{cost.flops:.1f}",
            f"{cost.latency * 1e3:.0f}",
            f"{cost.spread * 1e3:.0f}",
            f"{cost.ratio:.2f}",
            *([] if cost.memory is None else [f"{cost.memory:.2f}"]),
            end_section=cost.variant == list(VARIANTS)[-1],
        )
    return table
