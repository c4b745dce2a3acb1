"""What self-reconstruction costs beside the plain detector, measured in one run."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich import box
from rich.table import Table

from srtod.detectors.detector import Detector
from srtod.inference.costs import Setting, gflops, peak_memories, run
from srtod.support.provenance import provenance

VARIANTS: dict[str, bool | dict[str, Any]] = {
    "base": False,
    "paper": {"head": "paper"},
    "lite": {"head": "lite"},
}
"""Self-reconstruction of each row: none, the paper's head, the light head."""

Times = dict[tuple[str, str], list[float]]
"""Seconds of each pass, by system and variant."""


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
    The variants of a system share the weights of pyramid and head.

    Args:
        systems: names in the zoo.
        setting: the conditions.
        on_step: called with a word on what is done next.

    Raises:
        InputError: an unknown system or option.
    """
    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    built = {system: _build(system, setting) for system in systems}
    counted: dict[tuple[str, str], tuple[float, float]] = {}
    fast: dict[tuple[str, str], Detector] = {}
    for system in systems:
        variants = built.pop(system)
        for name, detector in variants.items():
            on_step(f"{system}, {name}: operations")
            parameters = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
            counted[system, name] = parameters, gflops(detector, setting)
        copies = _shared({name: setting.fast(detector) for name, detector in variants.items()})
        fast |= {(system, name): detector for name, detector in copies.items()}
    built_from = [(system, VARIANTS[name]) for system, name in fast]
    peaks, memory = peak_memories(list(fast.values()), built_from, setting), {}
    for key in fast:
        on_step(f"{', '.join(key)}: memory")
        memory[key] = next(peaks)
    times = _time(fast, setting, on_step)
    return [_cost(key, *counted[key], times, memory[key], setting) for key in fast]


def report(costs: Sequence[Cost], setting: Setting) -> dict[str, Any]:
    """The costs with all that they depend on, as plain values for JSON."""
    return {
        **provenance(setting.device),
        "setting": asdict(setting) | {"options": dict(setting.options)},
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


def _build(system: str, setting: Setting) -> dict[str, Detector]:
    return _shared({name: setting.build(system, switches) for name, switches in VARIANTS.items()})


def _shared(variants: dict[str, Detector]) -> dict[str, Detector]:
    """Let all variants have pyramid and head of the base: the same boxes to look at, and less memory."""
    for detector in variants.values():
        detector.pyramid, detector.head = variants["base"].pyramid, variants["base"].head
    return variants


def _time(
    detectors: dict[tuple[str, str], Detector], setting: Setting, on_step: Callable[[str], None]
) -> Times:
    images = setting.images()
    for detector in detectors.values():
        run(detector, images, setting)
    times: Times = {key: [] for key in detectors}
    for number in range(setting.runs):
        for key, detector in detectors.items():
            on_step(f"{', '.join(key)}: run {number + 1} of {setting.runs}")
            start = time.perf_counter()
            run(detector, images, setting)
            times[key].append(time.perf_counter() - start)
    return times


def _cost(
    key: tuple[str, str],
    parameters: float,
    flops: float,
    times: Times,
    memory: float | None,
    setting: Setting,
) -> Cost:
    own, base = times[key], times[key[0], "base"]
    latency = statistics.median(own)
    return Cost(
        system=key[0],
        variant=key[1],
        parameters=parameters,
        flops=flops,
        latency=latency,
        spread=_half_quartile_range(own),
        throughput=setting.batch / latency,
        ratio=statistics.median(a / b for a, b in zip(own, base, strict=True)),
        memory=memory,
    )


def _half_quartile_range(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return (quartiles[2] - quartiles[0]) / 2
