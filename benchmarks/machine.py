"""What a benchmark ran on. No benchmark itself: the others import it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """Processor, cores, how busy it is with other things, system, and versions, in one line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor() or "?")
    load = f"load {os.getloadavg()[0]:.1f} before this"
    return f"{model}, {os.cpu_count()} cores, {load}, {platform.system()}, Python {platform.python_version()}, Wichtel {version('wichtel')}"


def percentiles(seconds: list[float]) -> str:
    """Median, 90th and 99th percentile, and the largest, in milliseconds."""
    ordered = sorted(seconds)
    shown = [f"p{q} {ordered[min(len(ordered) - 1, len(ordered) * q // 100)] * 1e3:7.3f}" for q in (50, 90, 99)]
    return ", ".join([*shown, f"max {ordered[-1] * 1e3:7.3f} ms"])


if __name__ == "__main__":
    print(f"machine: {machine()}")
