"""How much of a machine is free, down to which of its graphics processors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wichtel.domain import Resources

#: Sums of fractions are never exact.
_SLACK = 1e-9


@dataclass(slots=True)
class Room:
    """An amount of resources; memory None is without limit."""

    cpus: float
    #: The free share of each graphics processor, by index.
    gpus: list[float]
    memory_bytes: float | None

    @classmethod
    def of(cls, capacity: Resources) -> Room:
        """All of `capacity`."""
        gpus = [min(1.0, capacity.gpus - index) for index in range(math.ceil(capacity.gpus - _SLACK))]
        return cls(capacity.cpus, gpus, capacity.memory_bytes)

    def copy(self) -> Room:
        """As much again, to be reckoned with."""
        return Room(self.cpus, self.gpus.copy(), self.memory_bytes)

    def holds(self, need: Resources) -> bool:
        """Whether `need` fits. Half a graphics processor here and half of one there are not a whole one."""
        memory = self.memory_bytes is None or (need.memory_bytes or 0) <= self.memory_bytes
        return memory and need.cpus <= self.cpus + _SLACK and (need.gpus <= 0 or self._choose(need.gpus) is not None)

    def take(self, need: Resources) -> tuple[int, ...]:
        """Make it smaller by `need`, but nothing negative.

        Returns:
            The indices of the graphics processors that are taken: first the whole ones, then the one that is shared.
        """
        self.cpus = max(0.0, self.cpus - need.cpus)
        if self.memory_bytes is not None:
            self.memory_bytes = max(0.0, self.memory_bytes - (need.memory_bytes or 0))
        if need.gpus <= 0:
            return ()
        chosen = self._choose(need.gpus)
        if chosen is None:
            # It does not fit: keep for it those that will be free soonest, as far as anybody knows.
            chosen = tuple(sorted(range(len(self.gpus)), key=lambda i: -self.gpus[i])[: math.ceil(need.gpus - _SLACK)])
        for index, share in zip(chosen, _shares(need.gpus), strict=False):
            self.gpus[index] = max(0.0, self.gpus[index] - share)
        return chosen

    def give(self, need: Resources, devices: tuple[int, ...]) -> None:
        """Make it larger again by what `take` took."""
        self.cpus += need.cpus
        if self.memory_bytes is not None:
            self.memory_bytes += need.memory_bytes or 0
        for index, share in zip(devices, _shares(need.gpus), strict=True):
            self.gpus[index] += share

    def _choose(self, gpus: float) -> tuple[int, ...] | None:
        chosen: list[int] = []
        for share in _shares(gpus):
            # The fullest that still has room, so that whole ones stay whole.
            fits = [(free, index) for index, free in enumerate(self.gpus) if free >= share - _SLACK and index not in chosen]
            if not fits:
                return None
            chosen.append(min(fits)[1])
        return tuple(chosen)


def _shares(gpus: float) -> list[float]:
    """2.5 is two whole ones and half of one."""
    whole = int(gpus + _SLACK)
    rest = gpus - whole
    return [1.0] * whole + ([rest] if rest > _SLACK else [])
