"""How long things took: counts in buckets that grow by the same factor, so that any two can be added up and asked for quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Buckets for each doubling: a quantile is right to within 9 %.
_PER_DOUBLING = 4
#: 1 µs and 12 days, in milliseconds; what is outside counts as the nearest.
_LEAST, _MOST = -10 * _PER_DOUBLING, 30 * _PER_DOUBLING


@dataclass(slots=True)
class Histogram:
    """Durations in milliseconds. Mutable; not safe among threads.

    >>> h = Histogram()
    >>> for ms in (1.0, 2.0, 3.0, 100.0):
    ...     h.add(ms)
    >>> h.count, h.max_ms, h.mean_ms
    (4, 100.0, 26.5)
    >>> 1.6 < h.quantile(0.5) < 2.4
    True
    """

    count: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0
    #: Number of a bucket → how many fell into it. Bucket n ends at 2 ** (n / 4) ms.
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, ms: float) -> None:
        """Count one."""
        bucket = min(max(math.ceil(math.log2(ms) * _PER_DOUBLING), _LEAST), _MOST) if ms > 0 else _LEAST
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.sum_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def merge(self, count: int, sum_ms: float, max_ms: float, buckets: Mapping[int, int]) -> None:
        """Count what another one counted."""
        self.count += count
        self.sum_ms += sum_ms
        self.max_ms = max(self.max_ms, max_ms)
        for bucket, n in buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + n

    @property
    def mean_ms(self) -> float:
        """The average; 0 of none."""
        return self.sum_ms / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """What a share `q` of them was no longer than; 0 of none."""
        wanted, seen = q * self.count, 0
        for bucket in sorted(self.buckets):
            here = self.buckets[bucket]
            if seen + here >= wanted:
                # Within a bucket they are taken to be spread evenly, on the logarithmic scale.
                return min(2 ** ((bucket - 1 + (wanted - seen) / here) / _PER_DOUBLING), self.max_ms)
            seen += here
        return self.max_ms
