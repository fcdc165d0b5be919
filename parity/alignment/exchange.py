"""Taps that stand in each other's place: q computed with k's weights, or k where v belongs.

By parameters and numbers alone each would be found where its own weights are; what comes after tells
which part each one plays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from typing import Any

from dinov3_parity.parity.alignment.alignment import DATAFLOW, Found
from dinov3_parity.parity.alignment.match import CLEAN, Shown
from dinov3_parity.parity.alignment.samples import Key
from dinov3_parity.parity.families.base import Place

#: What is asked of a ``search.Search``: it imports this module.
Search = Any


def exchanged(search: Search) -> bool:
    """Whether taps that are computed alike, of the same shape from the same taps, stand in each
    other's place: q where k belongs. Where they do, they are exchanged."""
    groups = list(_groups(search))
    best = {place: 0 for place, _ in groups}
    chosen: dict[Place, Mapping[Key, Found]] = {}
    count = max((len(keys) for _, keys in groups), default=0)
    for order in permutations(range(count)):
        trial = {
            place: {key: search.found[keys[k]] for key, k in zip(keys, order, strict=True)}
            for place, keys in groups
            if len(keys) == count
        }
        flat = {key: one for found in trial.values() for key, one in found.items()}
        tried = search.shown({**search.found, **flat})
        for place, found in trial.items():
            clean = _clean_behind(search, found, tried)
            if clean > best[place]:
                best[place], chosen[place] = clean, found
    changed = False
    for found in chosen.values():
        for key, one in found.items():
            changed |= search.found[key].names != one.names
            search.found[key] = replace(one, by=(DATAFLOW,))
    return changed


def _groups(search: Search) -> Iterator[tuple[Place, list[Key]]]:
    for place in search.places:
        alike: dict[tuple, list[Key]] = {}
        for key in search.keys:
            table = search.family.taps[key[1]]
            if key[0] == place and key in search.found and table.after:
                alike.setdefault((table.after, table.shape), []).append(key)
        for keys in alike.values():
            behind = [one for key in keys for one in search.behind(key)]
            if len(keys) > 1 and any(one not in search.found for one in behind):
                yield place, keys


def _clean_behind(search: Search, found: Mapping[Key, Found], tried: Shown) -> int:
    """How many taps that are computed from these are Meta's, somewhere after them."""
    clean = 0
    for other in {one for key in found for one in search.behind(key)}:
        above = [one for one in search.before(other) if one in search.found]
        names = [found.get(one, search.found[one]).names for one in above]
        near = tried.near(other, lambda name, names=names: search.may_be(name, names), 5 * CLEAN)
        clean += bool(near and near[0].error <= CLEAN)
    return clean
