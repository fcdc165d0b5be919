"""Whose tensor a graph's parameter is: told by its numbers, whatever their order, layout or name.

An exporter transposes, renames, joins q, k and v or takes them apart, rounds to float16, multiplies a
LayerScale into the projection before it; the numbers themselves tell it all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dinov3_parity.parity.alignment.samples import Key
from dinov3_parity.parity.families.base import Family, Place, Variant

#: Fewer numbers say little of whose they are.
_FEW = 8

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Held:
    """What a parameter holds: the tensors of ``taps``, by ``leaves``; ``folded`` where one is multiplied
    into another."""

    taps: tuple[Key, ...]
    leaves: tuple[str, ...]
    folded: bool = False


def fingerprint(array: np.ndarray) -> tuple[int, int]:
    """A number of an array's numbers that no order of them changes, and how many they are: the sum over
    their bits as float32, each mixed by splitmix64's finalizer, modulo 2^64."""
    bits = np.ascontiguousarray(array, np.float32).reshape(-1).view(np.uint32)
    total = np.uint64(0)
    with np.errstate(over="ignore"):
        for start in range(0, bits.size, _CHUNK):
            mixed = bits[start : start + _CHUNK].astype(np.uint64)
            mixed += np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(30)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            mixed ^= mixed >> np.uint64(27)
            mixed *= np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            total += mixed.sum(dtype=np.uint64)
    return int(total), bits.size


def whose(
    parameters: Mapping[str, np.ndarray],
    family: Family,
    variant: Variant,
    checkpoint: Mapping[str, np.ndarray],
    places: Sequence[Place] = (),
) -> dict[str, Held]:
    """What each parameter holds, of those whose numbers are tensors of the checkpoint, of all places or
    of ``places``; arrays of one repeated number are nobody's."""
    prints: dict[tuple[int, int], list[str]] = {}
    kinds = set()
    for name in parameters:
        value = parameters[name]
        if value.dtype.kind in "fV" and value.size >= _FEW:
            prints.setdefault(fingerprint(value), []).append(name)
            kinds.add(value.dtype)
    kinds.discard(np.dtype(np.float32))
    found: dict[str, Held] = {}
    counts = {count for _, count in prints}
    for held, array in _tensors(family, variant, checkpoint, places or family.places(variant)):
        if array.size not in counts or (array == array.flat[0]).all():
            continue
        for one in (array, *(array.astype(kind) for kind in kinds)):
            for name in prints.get(fingerprint(one), ()):
                before = found.get(name)
                if before is None:
                    found[name] = held
                elif not held.folded and held.taps != before.taps:  # the numbers of several
                    taps = tuple(dict.fromkeys(before.taps + held.taps))
                    found[name] = Held(taps, before.leaves + held.leaves)
    return found


def _tensors(
    family: Family,
    variant: Variant,
    checkpoint: Mapping[str, np.ndarray],
    places: Sequence[Place],
) -> Iterator[tuple[Held, np.ndarray]]:
    """Every tensor that a tap's operation reads, with the parts of joint ones, then what they are joined
    and folded to."""
    for place in places:
        leaves = {one.leaf: one.name for one in family.at(variant, place)}
        joined: dict[str, list[Key]] = {}
        own: dict[str, dict[str, np.ndarray]] = {}
        for tap in family.of_part(place.part, variant):
            for leaf in family.holds.get(tap.name, ()):
                name, k, n = _read(leaf)
                if name not in leaves:
                    continue
                array = np.asarray(checkpoint[leaves[name]])
                key = (place, tap.name)
                if n > 1:
                    joined.setdefault(name, []).append(key)
                    array = np.split(array, n)[k]
                own.setdefault(tap.name, {})[leaf] = array
                yield Held((key,), (leaf,)), array
        for name, keys in joined.items():
            yield Held(tuple(keys), (name,)), np.asarray(checkpoint[leaves[name]])
        for scaled, scale in family.folds:
            if scaled in own and scale in own:
                ((leaf, gamma),) = own[scale].items()
                keys = ((place, scaled), (place, scale))
                for of, array in own[scaled].items():
                    product = array * gamma.reshape(-1, *[1] * (array.ndim - 1))
                    yield Held(keys, (of, leaf), folded=True), product


_PART = re.compile(r"(.+)\[(\d)/(\d)\]")


def _read(leaf: str) -> tuple[str, int, int]:
    found = _PART.fullmatch(leaf)
    return (found[1], int(found[2]), int(found[3])) if found else (leaf, 0, 1)


def anchors(found: Mapping[str, Held], flow: Any) -> dict[Key, str]:
    """Where parameters say that a tap is computed: by the last of the operators that read its tensors."""
    anchored: dict[Key, str] = {}
    alone = {held.taps[0] for held in found.values() if len(held.taps) == 1}
    for name, held in found.items():
        if len(held.taps) > 1 and not held.folded:
            continue  # joined: what comes out is several taps
        # Where the scale stands in the graph as well, it is applied twice.
        key = held.taps[0] if held.taps[-1] in alone else held.taps[-1]
        for user in flow.users(name) if name in flow.consumers else ():
            if key not in anchored or flow.order[user] > flow.order[anchored[key]]:
                anchored[key] = user
    return anchored
