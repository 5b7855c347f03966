"""Graphs as drawings: nodes in layers from left to right, edges as curves. The server draws them, so that they need no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Sizes in pixels.
WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 148, 44, 26, 14, 6
#: Of more nodes only those that are not done are drawn, with a sum of the others.
MOST_NODES = 250


@dataclass(frozen=True, slots=True)
class Node:
    """A node and where it stands."""

    name: str
    x: int
    y: int
    #: Names of those it comes after.
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything stands."""

    nodes: tuple[Node, ...]
    #: From, to, and the curve between.
    edges: tuple[tuple[str, str, str], ...]
    width: int
    height: int
    #: How many nodes were left out.
    hidden: int = 0


def drawing(after: Mapping[str, Sequence[str]], keep: Sequence[str] = ()) -> Drawing:
    """A drawing of a graph.

    Args:
        after: Node → those it comes after, which come before it in the mapping.
        keep: Of a large graph, the nodes to draw.
    """
    names = list(after)
    hidden = 0
    if len(names) > MOST_NODES:
        chosen = set(list(keep)[:MOST_NODES]) or set(names[:MOST_NODES])
        hidden = len(names) - len(chosen)
        names = [name for name in names if name in chosen]
    layer: dict[str, int] = {}
    for name in names:
        layer[name] = max((layer[b] + 1 for b in after[name] if b in layer), default=0)
    # An edge over several layers has a place of its own in each, so that it passes no node.
    before = {name: [b for b in after[name] if b in layer] for name in names}
    route: dict[tuple[str, str], list[str]] = {}
    columns: dict[int, list[str]] = {}
    for name in names:
        columns.setdefault(layer[name], []).append(name)
        for b in before[name]:
            route[b, name] = [f"{b}/{name}/{at}" for at in range(layer[b] + 1, layer[name])]
            for at, bend in enumerate(route[b, name], layer[b] + 1):
                before[bend] = [route[b, name][at - layer[b] - 2] if at > layer[b] + 1 else b]
                columns.setdefault(at, []).append(bend)
    rows = max((len(column) for column in columns.values()), default=0)
    place: dict[str, Node] = {}
    for at, column in sorted(columns.items()):
        # Beside what it comes after, so that few edges cross.
        column.sort(key=lambda name: _middle([place[b].y for b in before[name]]))
        top = (rows - len(column)) * (HEIGHT + GAP_Y) // 2
        for i, name in enumerate(column):
            place[name] = Node(name, EDGE + at * (WIDTH + GAP_X), EDGE + top + i * (HEIGHT + GAP_Y), tuple(before[name]))
    edges = tuple((a, b, _path([place[a], *(place[bend] for bend in bends), place[b]])) for (a, b), bends in route.items())
    width = 2 * EDGE + len(columns) * (WIDTH + GAP_X) - GAP_X if columns else 0
    height = 2 * EDGE + rows * (HEIGHT + GAP_Y) - GAP_Y if rows else 0
    return Drawing(tuple(place[name] for name in names), edges, width, height, hidden)


def _middle(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _path(stops: Sequence[Node]) -> str:
    """Curves between the stops, straight lines through them."""
    first = stops[0]
    drawn = f"M{first.x + WIDTH} {first.y + HEIGHT // 2}"
    for a, b in pairwise(stops):
        x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT // 2, b.x, b.y + HEIGHT // 2
        half = (x2 - x1) // 2
        drawn += f" C{x1 + half} {y1} {x2 - half} {y2} {x2} {y2}"
        if b is not stops[-1]:
            drawn += f" H{b.x + WIDTH}"
    return drawn
