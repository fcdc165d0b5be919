"""Figures as a run takes them, without a model: what its tests ask, and numbers that fit together.

Tests, places and inputs are a real run's; figures are drawn from a seed. A place's scale and floor
belong to the input, the same for every stage; the error is ratio · floor, and max |Δ| and the cosine
follow from it; a token's ratio is no smaller than the whole's, and Meta's own ratio is what it has of
the floor. Each test draws from a stream of its own: who changes one leaves the others as they are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from dinov3_parity.parity.breakdown import POINTS
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.chosen import FILE_INPUTS, SMALL, SQUARE
from dinov3_parity.parity.inputs.drawn import CONTENTS, Input
from dinov3_parity.parity.inputs.strategies import SCALES, WEIGHTS
from dinov3_parity.parity.records import contract, lines, older
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, Measurement
from dinov3_parity.parity.yardstick import EPS32, ROUNDING

#: What the ``quick`` profile draws.
INPUTS = (
    SMALL,
    SQUARE,
    Input(1, (1, 1)),
    Input(3, (11, 1), 4641, "sparse", 0.001),
    Input(4, (1, 4), 7582, "photograph", 0.1),
    Input(1, (4, 5), 8034, "constant"),
)
EXPORTED = FILE_INPUTS["batch"][0]

RUNTIMES = {
    "meta": "torch 2.13.0+cpu",
    "equimo": "jax 0.10.2",
    "mapped": "jax 0.10.2",
    "onnx": "onnxruntime 1.32.0 size all",
}


class Place(NamedTuple):
    """Where a stage is measured; ``block`` is None outside the blocks."""

    stage: str
    mode: str
    block: int | None
    tap: str


@dataclass(frozen=True)
class Asked:
    """One test: the places that it records on each of its inputs."""

    test: str
    variant: Variant
    layer: str
    stage: str
    runtime: str
    places: tuple[Place, ...]
    inputs: tuple[Input, ...]


Fields = dict[str, Any]  # of a measurement's line
Group = tuple[Asked, Input, list[Measurement]]
Factors = Mapping[Place, float]  # by what the ratios of a place are multiplied


_TESTS = """
primitives  embedding    embedding_and_rope_tables
primitives  final norm   final_norm
blocks      blocks       every_tap_of_every_block_stays_at_the_floor
backbone    chain        errors_grow_no_faster_than_float32_lets_them
release     whole model  cls_and_pooled_patches_of_the_whole_model
"""


def asked(variant: Variant, inputs: tuple[Input, ...] = INPUTS) -> list[Asked]:
    """The tests of a run that record anything, in the order of the pipeline."""
    found: list[Asked] = []

    def ask(layer, name, declared, stage, words, inputs, runtime="") -> None:
        places = tuple(
            Place(stage, mode, where.index[0] if where.index else None, tap)
            for (mode, where), taps in contract.declared(declared, variant).items()
            for tap in taps
        )
        test = f"parity/test_{layer}.py::test_{name}[{variant.name}{words}]"
        runtime = runtime or RUNTIMES[stage]
        found.append(Asked(test, variant, layer, stage, runtime, places, inputs))

    name = "what_the_exported_files_are_run_on"
    ask("reference", name, "reference chain", "meta", "-batch", (EXPORTED,))
    ask("reference", "every_tap_of_meta_is_a_standard", "reference", "meta", "", inputs)
    for stage in list(RUNTIMES)[1:]:
        for line in _TESTS.strip().splitlines():
            layer, declared, name = (word.strip() for word in line.split("  ") if word)
            if layer == "release" and stage == "onnx":
                _ask_files(ask)
            on = (SQUARE,) if layer == "release" else inputs
            ask(layer, name, declared, stage, f"-{stage}", on)
    return found


def _ask_files(ask: Callable[..., None]) -> None:
    """The exported files as they are, and tapped copies of two of them."""
    for form, (drawn, _) in FILE_INPUTS.items():
        runtime = f"onnxruntime 1.32.0 {form} all"
        ask("runtime", "the_untouched_file", "file", "onnx", f"-{form}", (drawn,), runtime)
        for level in ("disable", "all") if form != "size" else ():
            name, runtime = "its_tapped_copy_block_by_block", f"onnxruntime 1.32.0 {form} {level}"
            words = f"-{form}-{level}", (drawn,), f"{runtime}, tapped copy"
            ask("runtime", name, "tapped copy", "onnx", *words)


#: What no stage shows of its chain; known here all the same, for a folder in which one does.
NEW = "norm2"

#: Of each tap: its rms, and its floor in units of that, as a real run has them.
_TYPICAL = """
patch_embed  1.2 4.8e-7 | tokens      1.4 2.6e-7 | rope.sin    0.49 1.2e-7 | rope.cos   0.87 8e-8
input        1.9 4e-7   | norm1       1.0 7e-8   | attn.q_proj 1.3 2.4e-7  | attn.k_proj 1.3 2.6e-7
attn.v_proj  1.4 2.4e-7 | attn.q      1.3 2.5e-7 | attn.k      1.3 2.6e-7  | attn.logits 1.7 4e-7
attn.probs   0.09 5e-7  | attn.context 1.1 2.3e-7 | attn.out   1.3 3.4e-7  | ls1        0.42 3.4e-7
residual1    1.9 2.6e-7 | norm2       1.1 1.1e-7 | ffn.gate    1.3 2.7e-7  | ffn.up     1.3 2.7e-7
ffn.hidden   0.86 3e-7  | ffn.out     1.1 3.9e-7 | ls2         0.34 3.9e-7 | output     1.9 2.7e-7
norm         1.1 4e-7   | cls         1.2 2.9e-7 | registers   1.0 2e-7    | patches    1.1 5.2e-7
pooled       1.0 1.2e-7
"""
_SIZES = {
    name: (float(scale), float(floor))
    for name, scale, floor in (one.split() for one in _TYPICAL.replace("\n", "|").split("|") if one)
}
_SETTERS = np.array(["plain", "meta", "rescaled", "rounding"])
_SHARES = (0.46, 0.46, 0.04, 0.04)

HONEST = {"equimo": 0.85, "mapped": 0.95, "onnx": 1.0}  # the middle of a stage's ratios


def stream(*words: Any) -> np.random.Generator:
    """A stream of random numbers that belongs to some words."""
    told = hashlib.sha256(repr(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(told[:8], "little"))


class Known:
    """What Meta's runs tell of a variant: scale and floor at each place, (inputs, places)."""

    def __init__(self, variant: Variant, inputs: Iterable[Input], seed: int):
        self.inputs = {drawn: row for row, drawn in enumerate(dict.fromkeys(inputs))}
        declared = contract.declared("reference", variant)
        places = [(mode, where, tap) for (mode, where), taps in declared.items() for tap in taps]
        places += [(CHAINED, block, NEW) for block in VIT.repeated(variant)]
        own = [(mode, where.index[0] if where.index else None, tap) for mode, where, tap in places]
        self.places = {place: column for column, place in enumerate(own)}
        rng = stream(seed, variant.name, "reference")
        shape = len(self.inputs), len(own)
        depth = np.array([block or 0 for _, block, _ in own])
        typical = np.array([_SIZES[tap] for _, _, tap in own]).T
        self.scale = typical[0] * (1 + 0.05 * depth) * rng.lognormal(0, 0.15, shape)
        self.floor = typical[1] * self.scale * rng.lognormal(0, 0.1, shape)
        self.setter = rng.choice(_SETTERS, shape, p=_SHARES)
        self.setter[:, [tap == "input" and mode == ISOLATED for mode, _, tap in own]] = "rounding"
        bare = self.setter == "rounding"
        self.floor[bare] = ROUNDING * EPS32 * self.scale[bare]
        others = (self.setter == "plain") | (self.setter == "rescaled")
        self.alone = np.where(others, rng.uniform(0.6, 1.0, shape), 1.0) * self.floor

    def at(self, test: Asked) -> tuple[np.ndarray, ...]:
        """Scale, floor, setter and Meta's share of the floor, for a test's inputs and places."""
        rows = [self.inputs[drawn] for drawn in test.inputs]
        columns = [self.places[tuple(place[1:])] for place in test.places]
        return tuple(
            of[np.ix_(rows, columns)] for of in (self.scale, self.floor, self.setter, self.alone)
        )


def told(
    test: Asked, known: Known, seed: int, factors: Factors
) -> Iterator[tuple[Input, list[Fields]]]:
    """The fields of what a test records, input by input."""
    rng = stream(seed, test.test)
    sizes, token_axes = _extents(test)
    figures = _figures(test, known, rng, factors, sizes, token_axes)
    taps = [(VIT.taps[place.tap], VIT.taps[place.tap].token_axes) for place in test.places]
    for row, drawn in enumerate(test.inputs):
        now, found = {name: values[row].tolist() for name, values in figures.items()}, []
        for k, (place, (tap, axes)) in enumerate(zip(test.places, taps, strict=True)):
            fields = {
                "family": "vit", "variant": test.variant.name, "stage": place.stage,
                "parent": older.PARENTS[place.stage], "mode": place.mode, "tap": place.tap,
                "place": tap.part if place.block is None else f"block {place.block}",
                "batch": drawn.batch, "grid": drawn.grid,
                "seed": drawn.seed, "ratio": now["ratio"][k], "floor": now["floor"][k],
                "floor_setter": now["setter"][k], "floor_alone": now["alone"][k],
                "max_abs": now["max_abs"][k], "max_abs_index": now["index"][k][: len(tap.shape)],
                "rel_max": now["rel_max"][k], "cosine": now["cosine"][k],
                "limit": now["limit"][k], "token": [now["token"][k][axis] for axis in axes],
                "token_ratio": now["token_ratio"][k], "token_limit": tap.limit.token,
                "passed": now["passed"][k], "runtime": test.runtime, "fault": None,
                "layer": test.layer, "content": drawn.content, "scale": drawn.scale, "problem": "",
            }  # fmt: skip
            if now["stronger"][k]:
                fields["breakdown"] = breakdown(fields, sizes[row, k].tolist(), rng)
            found.append(fields)
        yield drawn, found


def _figures(
    test: Asked,
    known: Known,
    rng: np.random.Generator,
    factors: Factors,
    sizes: np.ndarray,
    token_axes: np.ndarray,
) -> dict[str, np.ndarray]:
    """The figures of a test, each (inputs, places); ``stronger`` is what was so than all before."""
    scale, floor, setter, alone = known.at(test)
    shape, meta = scale.shape, test.stage == "meta"
    limits = [VIT.taps[place.tap].limit for place in test.places]
    token_limit = np.array([limit.token for limit in limits])
    per_token = np.where(token_axes, sizes, 1)
    tokens = per_token.prod(2)
    limit = np.array([[one.of(n) for one, n in zip(limits, row, strict=True)] for row in tokens])
    ratio = rng.lognormal(math.log(HONEST.get(test.stage, 1)), 0.16, shape)
    ratio = np.minimum(ratio, 0.6 * limit)
    spread = np.exp(np.abs(rng.normal(0, 0.12, shape)) + 0.08)
    if meta:
        ratio, spread = alone / floor, np.minimum(spread, floor / alone)
    spread[tokens == 1] = 1
    exact = np.array([place.mode == ISOLATED and place.tap == "input" for place in test.places])
    factor = np.array([factors.get(place, 1.0) for place in test.places]) * ~exact
    token_ratio = np.minimum(ratio * spread, 0.9 * token_limit) * factor
    ratio = ratio * factor
    error = ratio * floor
    max_abs = error * (3 + 2 * np.abs(rng.normal(size=shape))) * (not meta)
    index = (rng.random(sizes.shape) * sizes).astype(int) * (max_abs > 0)[..., None]
    token = (rng.random(sizes.shape) * per_token).astype(int) * (ratio > 0)[..., None]
    strength = np.maximum(ratio / limit, token_ratio / token_limit)
    before = np.vstack([np.full(shape[1], -1.0), np.maximum.accumulate(strength)[:-1]])
    return {
        "ratio": ratio, "floor": floor, "setter": setter, "alone": alone, "max_abs": max_abs,
        "index": index, "rel_max": max_abs / scale, "cosine": 1 / np.hypot(1, error / scale),
        "token": token, "token_ratio": token_ratio, "limit": limit, "stronger": strength > before,
        "passed": (ratio <= limit) & (token_ratio <= token_limit),
    }  # fmt: skip


def _extents(test: Asked) -> tuple[np.ndarray, np.ndarray]:
    """The tap's shape, (inputs, places, 4) with ones after its end; which axes count tokens."""
    shapes: dict[tuple[Input, str], tuple[int, ...]] = {}
    names = [place.tap for place in test.places]
    for drawn in test.inputs:
        for name in dict.fromkeys(names):
            own = VIT.extent(VIT.taps[name], test.variant, drawn.batch, drawn.grid)
            shapes[drawn, name] = own + (1,) * (4 - len(own))
    sizes = np.array([[shapes[drawn, name] for name in names] for drawn in test.inputs])
    return sizes, np.array(
        [[axis in VIT.taps[name].token_axes for axis in range(4)] for name in names]
    )


def breakdown(fields: Fields, sizes: list[int], rng: np.random.Generator) -> dict[str, Any]:
    """Figures of one measurement's tokens, heads and channels, as ``parity.breakdown`` has them: the
    worst token has the token ratio, and the mean square along an axis is that of the whole."""
    tap, ratio, token = VIT.taps[fields["tap"]], fields["ratio"], fields["token"]
    image = token[0] if "B" in tap.shape else None
    axes = [axis for axis in tap.token_axes if tap.shape[axis] != "B"]
    tokens = np.full(math.prod(sizes[axis] for axis in axes), fields["token_ratio"])
    tokens *= rng.uniform(0.7, 1.0, tokens.size)
    tokens[token[-1] if axes else 0] = fields["token_ratio"]
    along, seen = {}, {"h": "head", "D": "channel", "d": "channel", "F": "channel"}
    for axis, word in enumerate(tap.shape):
        if word in seen:
            sums = rng.lognormal(0, 0.1 if fields["passed"] else 1.0, sizes[axis])
            sums *= ratio**2 / sums.mean()
            largest = np.maximum.reduceat(sums, np.arange(0, sums.size, -(-sums.size // POINTS)))
            worst = int(sums.argmax())
            share = float(f"{sums[worst] / sums.sum():.3g}") if ratio else 0.0
            along[seen[word]] = {
                "size": sums.size, "ratio": _digits(np.sqrt(largest)), "worst": worst, "share": share,
            }  # fmt: skip
    return {"image": image, "tokens": _digits(tokens), "along": along}


def _digits(values: np.ndarray) -> list[float]:
    """Numbers with three digits."""
    places = 2 - np.floor(np.log10(np.maximum(values, 1e-30))).astype(int)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    return (np.rint(values * up / down) / up * down).tolist()


def measured(
    tests: Iterable[Asked], seed: int, factors: Factors | None = None
) -> Iterator[tuple[Asked, Input, list[Fields]]]:
    """The fields of everything that some tests record; ``factors`` make places worse or better."""
    tests = list(tests)
    known = {
        variant: Known(variant, (i for t in tests if t.variant == variant for i in t.inputs), seed)
        for variant in dict.fromkeys(test.variant for test in tests)
    }
    for test in tests:
        for drawn, found in told(test, known[test.variant], seed, factors or {}):
            yield test, drawn, found


def groups_of(*what: Any) -> list[Group]:
    return [
        (test, drawn, [lines.measured(fields) for fields in found])
        for test, drawn, found in measured(*what)
    ]


def other_inputs(count: int, seed: int) -> list[Input]:
    """Different inputs of every size and content."""
    rng, found = stream(seed, "inputs"), {}
    sides = [side for side in range(1, 21) for _ in range(WEIGHTS.get(side, 1))]
    while len(found) < count:
        rows, columns = rng.choice(sides, 2).tolist()
        batch = int(rng.integers(1, max(1, min(4, 1600 // (rows * columns))) + 1))
        content, scale = str(rng.choice(list(CONTENTS))), float(rng.choice(SCALES))
        found[Input(batch, (rows, columns), int(rng.integers(10_000)), content, scale)] = None
    return list(found)
