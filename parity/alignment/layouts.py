"""How a value lays a tap out: which of the tap's axes each of its own counts.

An axis of a tap in words is made of *atoms*: D numbers are h heads of d, P patches are rows of columns,
the d of a rotary table two halves. A value of the same numbers counts them in another order or grouping:
``(B, h, N, d)``, ``(B·N, D)``, ``(B, D, rows, columns)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Words:
    """A tap's axes in words, and each in atoms."""

    axes: tuple[tuple[str, ...], ...]

    @property
    def atoms(self) -> tuple[str, ...]:
        return tuple(atom for axis in self.axes for atom in axis)

    def shape(self, sizes: Sizes) -> Shape:
        return tuple(math.prod(sizes[atom] for atom in axis) for axis in self.axes)


@dataclass(frozen=True)
class Layout:
    """How a value lays a tap out: the atoms that each of its axes counts, outermost first.

    ``lacking`` are atoms of the tap along which it repeats what the value has once, ``extra`` those that
    the value alone has, and repeats the tap along; ``skips`` are rows that stand in the value before the
    tap's own, along the axis ``skipping``.
    """

    axes: tuple[tuple[str, ...], ...]
    lacking: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    skips: int = 0
    skipping: int = -1

    def __str__(self) -> str:
        told = ", ".join("·".join(axis) or "1" for axis in self.axes)
        rows = f", after {self.skips} rows" if self.skips else ""
        return f"({told}){rows}"

    @property
    def plain(self) -> bool:
        """Whether the value holds exactly the tap's numbers."""
        return not (self.lacking or self.extra or self.skips)

    def tap(self, value: np.ndarray, words: Words, sizes: Sizes) -> np.ndarray:
        """The tap that a value holds, in the tap's own shape. Raises ValueError where the value has not
        the shape that this lays out."""
        if self.skips:
            value = np.moveaxis(value, self.skipping, 0)[self.skips :]
            value = np.moveaxis(value, 0, self.skipping)
        own = [atom for axis in self.axes for atom in axis]
        if value.shape != tuple(math.prod(sizes[a] for a in axis) for axis in self.axes):
            raise ValueError(f"a value of {value.shape} is not laid out as {self}")
        value = value.reshape([sizes[atom] for atom in own])
        for atom in self.extra:
            value = value.take(0, own.index(atom))
            own.remove(atom)
        for atom in self.lacking:
            value, own = np.expand_dims(value, 0), [atom, *own]
        value = value.transpose([own.index(atom) for atom in words.atoms])
        value = np.broadcast_to(value, [sizes[atom] for atom in words.atoms])
        return value.reshape(words.shape(sizes))

    def value(
        self, tap: np.ndarray, words: Words, sizes: Sizes, base: np.ndarray | None = None
    ) -> np.ndarray:
        """A value that holds a tap; ``base`` is the value whose rows before the tap's stay."""
        atoms = list(words.atoms)
        laid = tap.reshape([sizes[atom] for atom in atoms])
        for atom in self.lacking:
            laid = laid.take(0, atoms.index(atom))
            atoms.remove(atom)
        for atom in self.extra:
            laid, atoms = np.expand_dims(laid, 0), [atom, *atoms]
        own = [atom for axis in self.axes for atom in axis]
        laid = laid.transpose([atoms.index(atom) for atom in own])
        laid = np.broadcast_to(laid, [sizes[atom] for atom in own])
        laid = laid.reshape([math.prod(sizes[a] for a in axis) for axis in self.axes])
        if self.skips:
            if base is None:
                raise ValueError("a value with rows of its own is given on a base")
            whole = np.moveaxis(base.copy(), self.skipping, 0)
            whole[self.skips :] = np.moveaxis(laid, self.skipping, 0)
            laid = np.moveaxis(whole, 0, self.skipping)
        return np.ascontiguousarray(laid)


def layouts(shape: Shape, words: Words, sizes: Sizes, prefix: int = 0) -> Iterator[Layout]:
    """Every way in which a value of a shape can lay a tap out.

    Tables that repeat themselves (their atoms ``halves``) may lack the second half, and may be repeated
    along the batch; with a ``prefix``, one may have as many rows before the first.
    """
    atoms = words.atoms
    yield from _of(shape, atoms, sizes)
    if "B" in atoms or "halves" not in atoms:
        return
    for lacking in ((), ("halves",)):
        rest = tuple(atom for atom in atoms if atom not in lacking)
        for extra in ((), ("B",)):
            if lacking or (extra and sizes["B"] > 1):
                yield from _of(shape, (*extra, *rest), sizes, lacking, extra)
            if not prefix:
                continue
            for k, length in enumerate(shape):
                if length > prefix:
                    cut = (*shape[:k], length - prefix, *shape[k + 1 :])
                    for found in _of(cut, (*extra, *rest), sizes, lacking, extra):
                        if found.axes[k] and set(found.axes[k]) == {"r", "c"}:
                            yield Layout(found.axes, lacking, extra, prefix, k)


def _of(
    shape: Shape,
    atoms: Sequence[str],
    sizes: Sizes,
    lacking: tuple[str, ...] = (),
    extra: tuple[str, ...] = (),
) -> Iterator[Layout]:
    if math.prod(shape) != math.prod(sizes[atom] for atom in atoms):
        return
    single = tuple(atom for atom in atoms if sizes[atom] == 1)
    for axes in _groups(shape, tuple(atom for atom in atoms if sizes[atom] > 1), sizes):
        if single:  # they stand anywhere: with the first axis
            axes = ((*single, *axes[0]), *axes[1:]) if axes else (single,)
        yield Layout(axes, lacking, extra)


def _groups(
    shape: Shape, atoms: tuple[str, ...], sizes: Sizes
) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Every way to hand the atoms out to the axes of a shape, in an order within each."""
    if not shape:
        if not atoms:
            yield ()
        return
    for axis, rest in _axis(shape[0], atoms, sizes):
        for others in _groups(shape[1:], rest, sizes):
            yield (axis, *others)


def _axis(
    length: int, atoms: tuple[str, ...], sizes: Sizes
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    if length == 1:
        yield (), atoms
        return
    for k, atom in enumerate(atoms):
        if length % sizes[atom] == 0:
            rest = (*atoms[:k], *atoms[k + 1 :])
            for axis, left in _axis(length // sizes[atom], rest, sizes):
                yield (atom, *axis), left
