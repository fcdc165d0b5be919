"""The contract of a run: which taps of which stage are compared where, declared before it computes.

A test names its contract (``@pytest.mark.contract("blocks")``); the comparator refuses to end an input
with a declared tap that was not compared, and a run ends with "compared N of N".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Place, Variant
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL

Contract = Mapping[tuple[str, Place], tuple[str, ...]]  # (mode, place) to taps


def declared(name: str, variant: Variant, absent: Iterable[str] = ()) -> Contract:
    """Everything a test of that contract compares on one input, in the order of the computation.

    ``absent`` are taps that the stage says it cannot show, of every place or of one, ``block 3: norm1``.
    """
    family, hidden = family_of(variant), frozenset(absent)
    places = family.places(variant)
    first, last, between = places[0], places[-1], places[1:-1]

    def taps(place: Place) -> tuple[str, ...]:
        names = (tap.name for tap in family.of_part(place.part, variant))
        return shown(place, names)

    def shown(place: Place, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if not hidden & {name, at(place, name)})

    def handed_on(place: Place) -> tuple[str, ...]:
        return shown(place, family.parts[place.part].chained)

    def operations(place: Place) -> tuple[str, ...]:
        """What an operation of the place computes: no copy, nothing taken out of another tap."""
        copies = {family.parts[place.part].given, *family.derived}
        return tuple(name for name in taps(place) if name not in copies)

    embedding = {(ISOLATED, first): taps(first)}
    final = {(ISOLATED, last): taps(last)}
    isolated = {(ISOLATED, place): taps(place) for place in between}
    chain = {(CHAINED, place): handed_on(place) for place in places[1:]}
    # A block's input is the output of the block before; the copy shows it once.
    given = {place: family.parts[place.part].given for place in between}
    copy = {
        (CHAINED, place): tuple(tap for tap in handed_on(place) if tap != given[place])
        for place in between
    }
    (all_tokens, *_) = family.parts[last.part].taps
    contracts = {
        "operations": {(LOCAL, place): operations(place) for place in places},
        "embedding": embedding,
        "final norm": final,
        "blocks": isolated,
        "chain": chain,
        "reference": embedding | isolated | final | chain,
        "reference chain": embedding | chain,
        "file": {(CHAINED, last): family.returned},
        "tapped copy": copy | {(CHAINED, last): (all_tokens.name, *family.returned)},
        "outputs": {},  # of files alone: each says which it has
        "whole model": {(CHAINED, last): family.published},
        "whole": {(CHAINED, last): handed_on(last)},
        "relation": {(CHAINED, last): handed_on(last)},
    }
    return contracts[name]


def at(place: Place, tap: str) -> str:
    """A tap of one place, in a word of ``absent``."""
    return f"{place}: {tap}"


def size(contract: Contract) -> int:
    """How many comparisons a contract asks for on one input."""
    return sum(map(len, contract.values()))
