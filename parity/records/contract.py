"""The contract of a run: which taps of which stage are compared where, declared before it computes.

A test names its contract (``@pytest.mark.contract("blocks")``); the gauge refuses to end an input
with a declared tap that was not compared, and a run ends with "compared N of N".
"""

from __future__ import annotations

from collections.abc import Mapping

from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from dinov3_parity.parity.taps import BLOCK, EMBED, HEAD, taps_of
from dinov3_parity.parity.taps import CHAINED as HANDED_ON
from dinov3_parity.parity.variants import Variant

#: A place is a block's number or the name of a part outside the blocks.
Place = int | str
Contract = Mapping[tuple[str, Place], tuple[str, ...]]  # (mode, place) to taps

#: What the whole model returns, by what computed it.
RETURNED = ("cls", "patches", "pooled")
PUBLISHED = ("cls", "pooled")  # the workflow's own two figures


def declared(
    name: str, variant: Variant, stage: str, absent: Mapping[str, str] | None = None
) -> Contract:
    """Everything a test of that contract compares on one input, in the order of the computation.

    ``absent`` names taps that the stage says it cannot show, with its reasons.
    """
    taps = {
        part: tuple(
            tap.name for tap in taps_of(part, variant, stage) if tap.name not in (absent or ())
        )
        for part in (EMBED, BLOCK, HEAD)
    }
    blocks = range(variant.depth)
    embedding = {(ISOLATED, EMBED): taps[EMBED]}
    final_norm = {(ISOLATED, HEAD): taps[HEAD]}
    isolated = {(ISOLATED, i): taps[BLOCK] for i in blocks}
    chain = {(CHAINED, i): HANDED_ON for i in blocks} | {(CHAINED, HEAD): taps[HEAD]}
    # A block's input is the output of the block before; the copy shows it once.
    copy = {(CHAINED, i): HANDED_ON[1:] for i in blocks}
    contracts = {
        "embedding": embedding,
        "final norm": final_norm,
        "blocks": isolated,
        "chain": chain,
        "reference": embedding | isolated | final_norm | chain,
        "reference chain": embedding | chain,
        "file": {(CHAINED, HEAD): RETURNED},
        "tapped copy": copy | {(CHAINED, HEAD): ("norm", *RETURNED)},
        "whole model": {(CHAINED, HEAD): PUBLISHED},
    }
    return contracts[name]


def size(contract: Contract) -> int:
    """How many comparisons a contract asks for on one input."""
    return sum(map(len, contract.values()))
