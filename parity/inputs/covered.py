"""Which sizes, batches, contents and scales the inputs of a run cover, and which pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from types import MappingProxyType

from dinov3_parity.parity.inputs.drawn import CONTENTS, PIXELS, Input

Is = Callable[[Input], bool]


def _grid(of: Callable[[int, int], bool]) -> Is:
    return lambda drawn: of(*drawn.grid)


def _content(name: str) -> Is:
    return lambda drawn: drawn.content == name


#: The classes that an input may be of, by what they are classes of. One can be of several sizes.
CLASSES: Mapping[str, Mapping[str, Is]] = MappingProxyType(
    {
        "size": {
            "one patch": _grid(lambda rows, columns: rows == columns == 1),
            "one row": _grid(lambda rows, columns: rows == 1 < columns),
            "one column": _grid(lambda rows, columns: columns == 1 < rows),
            "a square": _grid(lambda rows, columns: rows == columns > 1),
            "odd": _grid(lambda rows, columns: rows % 2 == columns % 2 == 1 < rows * columns),
            "even": _grid(lambda rows, columns: rows % 2 == columns % 2 == 0),
            "more rows than columns": _grid(lambda rows, columns: rows > columns > 1),
            "over 16 columns": _grid(lambda rows, columns: columns > 16),
            "over 32 columns": _grid(lambda rows, columns: columns > 32),
            "over 64 columns": _grid(lambda rows, columns: columns > 64),
            "over 400 patches": _grid(lambda rows, columns: rows * columns > 400),
            "over 1,024 patches": _grid(lambda rows, columns: rows * columns > 1024),
        },
        "batch": {
            "one image": lambda drawn: drawn.batch == 1,
            "two to four images": lambda drawn: 2 <= drawn.batch <= 4,
            "five images or more": lambda drawn: drawn.batch >= 5,
        },
        "content": {name: _content(name) for name in CONTENTS if name != PIXELS},
        "scale": {
            "faint": lambda drawn: drawn.scale < 1,
            "as it is": lambda drawn: drawn.scale == 1,
            "strong": lambda drawn: drawn.scale > 1,
        },
    }
)


def missing(inputs: Iterable[Input]) -> list[str]:
    """The classes that no input is of."""
    drawn = list(inputs)
    return [name for of in CLASSES.values() for name, has in of.items() if not any(map(has, drawn))]


def pairs(inputs: Iterable[Input]) -> tuple[int, int]:
    """How many pairs of classes of two kinds some input is of at once, and how many there are."""
    drawn = list(inputs)
    seen = [any(map(one, drawn)) for one in _pairs()]
    return sum(seen), len(seen)


def _pairs() -> Iterator[Is]:
    for one, other in combinations(CLASSES.values(), 2):
        for first in one.values():
            for second in other.values():
                yield lambda drawn, first=first, second=second: first(drawn) and second(drawn)


def told(inputs: Iterable[Input]) -> str:
    """What inputs cover of sizes and batches, and what they do not, in a sentence."""
    drawn = list(inputs)
    if not drawn:
        return ""
    rows, columns = (max(one.grid[k] for one in drawn) for k in (0, 1))
    most = max(drawn, key=lambda one: one.grid[0] * one.grid[1]).grid
    seen, of = pairs(drawn)
    gone = missing(drawn)
    without = f"; nothing that is {', '.join(gone)}" if gone else ""
    return (
        f"up to {rows} rows, {columns} columns, {most[0]}x{most[1]} patches and "
        f"{max(one.batch for one in drawn)} images; {seen} of {of} pairs of sizes, batches, contents and "
        f"scales{without}"
    )
