"""Who is told of a study while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wichtel.domain import Config, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """What is told to whom, on whatever thread hears of it: answer quickly, and do not raise."""

    #: These had ended before.
    on_resume: Callable[[Sequence[Trial]], None] = lambda _: None
    #: A trial's first evaluation was handed out: its number, and its configuration.
    on_begin: Callable[[int, Config], None] = lambda _number, _config: None
    #: All evaluations of a trial have come to a step: the trial's number, the step, and their means.
    on_measurement: Callable[[int, int, Mapping[str, float]], None] = lambda _number, _step, _metrics: None
    #: A trial has ended.
    on_trial: Callable[[Trial], None] = lambda _: None
