"""The graphics processors of this machine, counted without loading anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


def count_gpus(environment: Mapping[str, str] | None = None, driver: Path = _DRIVER) -> int:
    """How many a worker would see: those that ``CUDA_VISIBLE_DEVICES`` names, or else all that the driver knows; 0 without one."""
    try:
        there = sum(1 for _ in driver.iterdir())
    except OSError:
        return 0
    visible = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return there
    count = 0
    for name in visible.split(","):
        # As the driver reads it: the first name that is none ends the list.
        if not name.strip() or name.strip().startswith("-"):
            break
        count += 1
    return min(count, there)
