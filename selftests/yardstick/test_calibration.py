"""Where do honest stages lie? The limits in ``parity/families/vit_taps.py`` stand on what this measures
and on honest orders of sums, which ``selftests/calibration`` holds to them.

Every drawn input is compared at the embedding, at the final norm and at one block of its own (its
seed tells which), isolated; an eighth as many in chains. ``tox -e calibration`` draws more than a
thousand, climbs to the worst, and leaves the distribution of every tap and stage in
``calibration.json``; without it a few are drawn, beside the worst that were ever found.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from dinov3_parity.fixtures.pytest_plugin.session import SESSION
from dinov3_parity.fixtures.stages.protocol import State, run
from dinov3_parity.fixtures.stages.registry import stages
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import MARGIN, Place
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import parse
from dinov3_parity.parity.inputs.strategies import plan
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED
from dinov3_parity.parity.taps import BLOCK, EMBED, HEAD, taps_of
from dinov3_parity.parity.yardstick import Comparison, compare
from hypothesis import settings

VITS16 = VARIANTS["vits16"]
PORTS = tuple(name for name, info in stages().items() if info.parent)

#: Inputs on which a tap came nearest to its limit.
WORST = tuple(map(parse, (
    "B1 14x2 seed=1014 checkerboard scale=0.001",  # cls
    "B1 1x1 seed=5143 photograph scale=0.1",  # patches, pooled, ffn.hidden
    "B3 11x5 seed=3072 hot scale=0.1",  # queries and keys, one token of the output
    "B1 2x23 seed=7381 hot scale=1",  # one token of attn.context
    "B2 27x2 seed=2 checkerboard scale=10",  # one token of attn.out
    "B2 17x5 seed=5612 hot scale=1",  # chains
    "B1 19x16 seed=1 photograph scale=0.001",  # attention and what it is added to
    "B2 20x18 seed=463 gaussian scale=0.01",  # attn.probs, one token of norm1
)))  # fmt: skip


class Distribution:
    """Clean ratios by tap, stage and mode, each with the input and the place it came from."""

    def __init__(self):
        self._found: dict[tuple, list] = defaultdict(list)

    def add(self, tap, stage, mode, drawn, place, found: Comparison) -> float:
        """Note one comparison; the larger of its two ratios in units of the limits."""
        assert not found.problem, f"{stage} at {place}, {tap} on {drawn}: {found.problem}"
        many = VIT.taps[tap].limit.whole / found.limit  # what it is in a tap of many tokens
        alone = many * found.ratio * found.floor / found.floor_alone
        figures = many * found.ratio, found.token_ratio, alone, found.floor_setter
        self._found[tap, stage, mode].append((*figures, f"{place}, {drawn}"))
        return max(found.ratio / found.limit, found.token_ratio / found.token_limit)

    def summary(self) -> list[dict]:
        """One row a tap, stage and mode: how many, quantiles, the strongest and where."""
        rows = []
        for (tap, stage, mode), found in self._found.items():
            whole, token, alone, setters, where = (
                list(column) for column in zip(*found, strict=True)
            )
            rows.append({
                "tap": tap, "stage": stage, "mode": mode, "count": len(found),
                "whole": _quantiles(whole), "token": _quantiles(token),
                "largest_without_twins": max(alone),
                "floor_set_by": {name: setters.count(name) for name in sorted(set(setters))},
                "worst": where[int(np.argmax(whole))],
                "worst_token": where[int(np.argmax(token))],
            })  # fmt: skip
        return rows

    def largest(self) -> dict[str, tuple[float, float]]:
        """The largest ratio over the whole tensor, as of many tokens, and over one token, by tap."""
        found: dict[str, tuple[float, float]] = {}
        for row in self.summary():
            before = found.get(row["tap"], (0.0, 0.0))
            now = row["whole"]["max"], row["token"]["max"]
            found[row["tap"]] = tuple(map(max, before, now))
        return found


def _quantiles(values: list[float]) -> dict[str, float]:
    points = np.quantile(values, (0.5, 0.9, 0.99, 1))
    return dict(zip(("median", "p90", "p99", "max"), map(float, points), strict=True))


@pytest.fixture(scope="module")
def pipe(request):
    """vits16 on the checkpoint of the command line."""
    return request.config.stash[SESSION].pipeline(VITS16)


@pytest.fixture(scope="module")
def distribution(request):
    found = Distribution()
    yield found
    folder = request.config.stash[SESSION].writer.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "calibration.json").write_text(json.dumps(found.summary(), indent=1))


def climb(strengths: dict[str, float]) -> None:
    """Tell the search, if it is one, how near each stage came to a limit; none may go over."""
    if plan().climbs:
        for stage, strength in strengths.items():
            hypothesis.target(strength, label=stage)


def over_worst(test):
    return plan().apply(test, pinned=WORST)


def over_worst_chains(test):
    fewer = settings(plan().settings, max_examples=max(1, plan().settings.max_examples // 8))
    return replace(plan(), settings=fewer).apply(test, pinned=WORST[5:6])


@pytest.mark.thorough
@over_worst
def test_honest_stages_stay_within_the_limits_isolated(pipe, distribution, drawn):
    reference, block = pipe.computed(drawn), drawn.seed % VITS16.depth
    strengths = dict.fromkeys(PORTS, 0.0)
    for place in (Place(EMBED), Place(BLOCK, (block,)), Place(HEAD)):
        standards = reference.part(place)
        for name in PORTS:
            shown = run(pipe.stage(name), place, reference.state(place))
            for tap in taps_of(place.part, VITS16):
                found = compare(standards[tap.name], shown.get(tap.name))
                strength = distribution.add(tap.name, name, ISOLATED, drawn, place, found)
                strengths[name] = max(strength, strengths[name])
    climb(strengths)
    assert max(strengths.values()) <= 1


@pytest.mark.thorough
@over_worst_chains
def test_honest_stages_stay_within_the_limits_chained(pipe, distribution, drawn):
    reference = pipe.computed(drawn)
    strengths = dict.fromkeys(PORTS, 0.0)
    tokens = {name: pipe.stage(name).embed(reference.images)["tokens"] for name in PORTS}
    for place in reference.places[1:]:
        standards = reference.part(place, CHAINED)
        for name in PORTS:
            shown = run(pipe.stage(name), place, State(tokens[name], reference.grid))
            taps = standards if place.part == HEAD else VIT.parts[BLOCK].chained
            tokens[name] = shown.get("output")
            for tap in taps:
                found = compare(standards[tap], shown[tap])
                strength = distribution.add(tap, name, CHAINED, drawn, place, found)
                strengths[name] = max(strength, strengths[name])
    climb(strengths)
    assert max(strengths.values()) <= 1


def test_every_limit_keeps_its_margin_over_what_was_found(distribution):
    """Runs last: what was measured above, and what the table says was measured once."""
    for tap, limit in ((tap.name, tap.limit) for tap in VIT.taps.values()):
        assert limit.whole >= MARGIN * limit.strongest, tap
        assert limit.token >= MARGIN * limit.strongest_token, tap
    for tap, (whole, token) in distribution.largest().items():
        assert VIT.taps[tap].limit.whole >= 1.2 * whole, (
            f"{tap}: {whole}; see parity/families/vit_taps.py"
        )
        assert VIT.taps[tap].limit.token >= 1.2 * token, (
            f"{tap}: {token}; see parity/families/vit_taps.py"
        )
