"""The dataflow of the model as a drawing: where each tap stands, and what it is computed from.

Places follow from the tap table alone: a tap's column is the longest way to it inside its panel, and
taps of one column stand under each other in the order of the table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Tap, Variant

COLUMN, LANE, WIDTH, HEIGHT, TOP = 112, 40, 98, 26, 34


@dataclass(frozen=True)
class Node:
    name: str
    meaning: str
    x: int
    y: int


@dataclass(frozen=True)
class Panel:
    """A part of the model: nodes in units of the drawing, ``edges`` as the d of SVG paths."""

    title: str
    nodes: list[Node]
    edges: list[str]
    width: int
    height: int


def panels(variant: Variant) -> list[Panel]:
    """The panels of a variant: embedding, the halves of a block, head."""
    family, whole, halves = family_of(variant), [], []
    for part in family.parts.values():
        taps = family.of_part(part.name, variant)
        if not part.halves:
            whole.append(_panel(part.title, taps))
            continue
        middle = [tap.name for tap in taps].index(part.halves)
        first, second = part.title.split(" | ")
        halves += [_panel(first, taps[: middle + 1]), _panel(second, taps[middle:])]
    return whole + halves


def _panel(title: str, shown: Sequence[Tap]) -> Panel:
    taps = {tap.name: tap for tap in shown}
    names = list(taps)
    columns: dict[str, int] = {}
    for name in names:
        before = [columns[other] for other in taps[name].after if other in columns]
        columns[name] = max(before) + 1 if before else 0
    by_column: dict[int, list[str]] = defaultdict(list)
    for name, column in columns.items():
        by_column[column].append(name)
    lanes = max(map(len, by_column.values()))
    height = TOP + lanes * LANE
    nodes = {}
    for column, group in by_column.items():
        first = TOP + (lanes - len(group)) * LANE / 2
        for lane, name in enumerate(group):
            y = round(first + lane * LANE + (LANE - HEIGHT) / 2)
            nodes[name] = Node(name, taps[name].meaning, column * COLUMN, y)
    edges = [
        _edge(nodes[other], nodes[name], columns[name] - columns[other])
        for name in names
        for other in taps[name].after
        if other in nodes
    ]
    width = (max(by_column) + 1) * COLUMN - (COLUMN - WIDTH)
    return Panel(title, list(nodes.values()), edges, width, height)


def _edge(source: Node, target: Node, columns: int) -> str:
    """A path from a node to a later one; over the top where others stand between."""
    middle = HEIGHT // 2
    x0, y0, x1, y1 = source.x + WIDTH, source.y + middle, target.x, target.y + middle
    if columns > 1 and source.y == target.y:
        x0, x1, y = source.x + WIDTH // 2, target.x + WIDTH // 2, 24
        up, down = (
            f"{x0} {source.y}C{x0} {y} {x0} {y} {x0 + 40} {y}",
            f"{x1} {y} {x1} {y} {x1} {target.y}",
        )
        return f"M{up}H{x1 - 40}C{down}"
    bend = min(24, (x1 - x0) // 2 + 8)
    level = f"H{x1 - 2 * bend}" if columns > 1 else ""
    start = x1 - 2 * bend if columns > 1 else x0
    return f"M{x0} {y0}{level}C{start + bend} {y0} {x1 - bend} {y1} {x1} {y1}"
