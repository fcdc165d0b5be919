"""The dataflow of a graph: who is computed from whom, and which operators only move numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Protocol


class Value(Protocol):
    """What is asked of a graph's value; see ``fixtures.graphs.base.Value``."""

    @property
    def name(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...


#: Operators, without namespace and overload, that hand the same numbers on in another order or shape.
MOVES = frozenset(
    (
        *("transpose", "reshape", "identity", "squeeze", "unsqueeze", "flatten", "expand", "view"),
        *("permute", "t", "alias", "contiguous", "clone", "copy", "_unsafe_view", "expand_dims"),
        *("broadcast_in_dim", "getitem", "detach", "cast", "convert_element_type", "_to_copy"),
        *("to", "dequantizelinear", "stop_gradient"),
    )
)


def plain(operator: str) -> str:
    """An operator's name without namespace and overload, in lower case: ``aten.t.default`` is ``t``."""
    parts = operator.split("::")[-1].split(".")
    return (parts[1] if parts[0] in ("aten", "prims") and parts[1:] else parts[0]).lower()


class Flow:
    """The dataflow among values, which come in an order where each stands after its inputs."""

    def __init__(self, values: Sequence[Value]):
        self.values = {value.name: value for value in values}
        self.order = {name: k for k, name in enumerate(self.values)}

    @cached_property
    def _above(self) -> dict[str, int]:
        """The values that each is computed from, itself among them, as bits of one number."""
        found: dict[str, int] = {}
        for name, value in self.values.items():
            bits = 1 << self.order[name]
            for one in value.inputs:
                bits |= found.get(one, 0)
            found[name] = bits
        return found

    @cached_property
    def consumers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {name: [] for name in self.values}
        for name, value in self.values.items():
            for one in dict.fromkeys(value.inputs):
                if one in found:
                    found[one].append(name)
        return found

    def after(self, name: str, earlier: str) -> bool:
        """Whether a value is computed from another one, or is that."""
        return bool(self._above[name] >> self.order[earlier] & 1)

    def moves(self, name: str) -> bool:
        """Whether a value is another one's numbers in another order or shape."""
        return plain(self.values[name].operator) in MOVES

    def origin(self, name: str) -> str:
        """The value that this one is, before it was moved."""
        while self.moves(name) and self.values[name].inputs:
            name = self.values[name].inputs[0]
        return name

    def users(self, name: str) -> Iterator[str]:
        """The values computed from one, looking through those that only move it."""
        for user in self.consumers[name]:
            if self.moves(user) and self.values[user].inputs[0] == name:
                yield from self.users(user)
            else:
                yield user

    def roots(self, names: Iterable[str]) -> list[str]:
        """Of values those that are computed from none of the others, in order."""
        ordered = sorted(names, key=self.order.__getitem__)
        return [
            name
            for k, name in enumerate(ordered)
            if not any(self.after(name, other) for other in ordered[:k])
        ]
