"""Where versions of a model came from, as a drawing: the newest at the top, each above the one it was made of, branches to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wichtel.domain import ModelVersion

#: Sizes in pixels: of a row, between lanes, and how far a branch bends.
ROW, LANE, EDGE, BEND = 52, 18, 12, 16
#: Further branches share the last lane.
_MOST_LANES = 7


@dataclass(frozen=True, slots=True)
class Placed:
    """A version and where it stands."""

    version: ModelVersion
    x: int
    y: int
    #: Whether experiments start from it, and whether they did from what it led to.
    head: bool
    trunk: bool


@dataclass(frozen=True, slots=True)
class Lineage:
    """Versions from top to bottom, and the lines between them."""

    rows: tuple[Placed, ...]
    #: Each a path, and whether it leads to the head.
    lines: tuple[tuple[str, bool], ...]
    width: int
    height: int


def lineage(versions: Sequence[ModelVersion], head: str) -> Lineage:
    """A drawing of `versions`, newest first, of which some may come from versions that are not among them."""
    known = {v.id: v for v in versions}
    children: dict[str | None, list[ModelVersion]] = {}
    for v in versions:
        children.setdefault(v.parent if v.parent in known else None, []).append(v)
    trunk = _ancestors(known, head)
    order: list[tuple[ModelVersion, int]] = []

    def place(v: ModelVersion, lane: int) -> None:
        """It stands below all that was made of it."""
        own = children.get(v.id, [])
        straight = _straight(own, trunk)
        if straight is not None:
            place(straight, lane)
        for other in own:
            if other is not straight:
                place(other, lane + 1)
        order.append((v, lane))

    for root in children.get(None, []):
        place(root, 0)
    rows = {
        v.id: Placed(v, EDGE + min(lane, _MOST_LANES) * LANE, at * ROW + ROW // 2, v.id == head, v.id in trunk)
        for at, (v, lane) in enumerate(order)
    }
    lines = tuple(_line(rows, row) for row in rows.values() if row.version.parent is not None)
    width = max((row.x for row in rows.values()), default=0) + EDGE
    return Lineage(tuple(rows.values()), lines, width, len(order) * ROW)


def _ancestors(known: dict[str, ModelVersion], head: str) -> set[str]:
    found: set[str] = set()
    at = known.get(head)
    while at is not None and at.id not in found:
        found.add(at.id)
        at = known.get(at.parent or "")
    return found


def _straight(children: Iterable[ModelVersion], trunk: set[str]) -> ModelVersion | None:
    """The one that goes on in the same lane: what leads to the head, else what somebody added."""
    own = list(children)
    return next((v for v in own if v.id in trunk), None) or next((v for v in own if not v.experiment), None)


def _line(rows: dict[str, Placed], row: Placed) -> tuple[str, bool]:
    parent = rows.get(row.version.parent or "")
    if parent is None:
        # From an older one, which is not shown.
        return f"M{row.x} {row.y}V{row.y + ROW // 2}", row.trunk
    if parent.x == row.x:
        return f"M{row.x} {row.y}V{parent.y}", row.trunk
    return f"M{row.x} {row.y}C{parent.x} {row.y} {parent.x} {row.y} {parent.x} {row.y + BEND}V{parent.y}", row.trunk
