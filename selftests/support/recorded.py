"""Run folders that look as real ones do, written without any framework: what the report is tried on.

What is measured in them is drawn by ``selftests.figures``, the same from the same seed; what is said
of it is said by the suite's own code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dinov3_parity.fixtures.pytest_plugin.outcomes import Standing
from dinov3_parity.parity.records import divergence, measurement
from dinov3_parity.parity import picture
from dinov3_parity.parity.matrix.cell import (
    CRASH,
    Cell,
    DRIFT,
    LOW,
    OK,
    Record,
    THREADS,
    UNSUPPORTED,
)
from dinov3_parity.parity.runtimes.isolated import LEVELS
from dinov3_parity.parity.comparator import Account
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.limits import LIMITS
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, Measurement
from dinov3_parity.parity.inputs.strategies import SMALL, SQUARE
from dinov3_parity.parity.taps import TAPS, extent
from dinov3_parity.parity.variants import VARIANTS, Variant
from dinov3_parity.reports.figures import costs
from dinov3_parity.parity.records.run_folder import FRAGMENTS, MEASUREMENTS, RUN, Scribe
from selftests.support.figures import (
    Asked,
    EXPORTED,
    Group,
    HONEST,
    INPUTS,
    NEW,
    Place,
    RUNTIMES,
    asked,
    groups_of,
    measured,
    other_inputs,
    profile,
    stream,
)

VITS16 = VARIANTS["vits16"]


def run(
    command: str, tests: list[Asked], groups: Iterable[Group], profile: str = "quick"
) -> dict[str, Any]:
    """What run.json says of some tests and what is there of their measurements."""
    groups = list(groups)
    found = [m for _, _, records in groups for m in records]
    variants = list(dict.fromkeys(test.variant for test in tests))
    failures, kept = _failures(groups), fulfilment(tests, groups)
    told = {
        "id": hashlib.sha256(command.encode()).hexdigest()[:12],
        "command": command,
        "options": [],
        "started": "2026-11-24T10:58:33+00:00",
        "seconds": 31.64,
        "store": "/home/someone/.cache/dinov3-parity",
        "workers": 0,
        "inputs": {
            "profile": profile, "seed": 147, "examples": len(tests[1].inputs) - 2,
            "pinned": [str(SMALL), str(SQUARE)],
        },
        "finished": "2026-11-24T10:59:04+00:00",
        "exit": "tests failed" if failures or kept["missing"] else "ok",
        "versions": {
            "dinov3-parity": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0+cpu", "jax": "0.10.2",
            "jaxlib": "0.10.2", "equinox": "0.13.8", "equimo": "1.1.0", "jax2onnx": "0.17.1",
            "onnx": "1.23.2", "onnx-ir": "1.1.0", "onnxruntime": "1.32.0",
            "transformers": "5.23.0", "hypothesis": "6.170.15", "pytest": "9.2.0",
        },
        "host": {
            "python": "3.11.7", "system": "Linux-6.18.44-x86_64-with-glibc2.36",
            "machine": "x86_64", "cores": 2,
        },
        "checkpoints": {variant.name: _checkpoint(variant) for variant in variants},
        "stages": {
            f"{variant.name} {stage}": told for variant in variants for stage, told in _stages()
        },
        "contract": kept,
        "failures": failures,
        "tests": [_test(test, groups, failures) for test in tests],
        "costs": {"": {"peak_resident_bytes": _PEAK, "seconds": {}}}
        | {variant.name: _costs(variant) for variant in variants},
        "artifacts": [made for variant in variants for made in _artifacts(variant)],
    }  # fmt: skip
    told["variants"] = {
        variant.name: costs.of(variant.name, told, [m for m in found if m.variant == variant.name])
        for variant in variants
    }
    return told


def _checkpoint(variant: Variant) -> dict[str, str]:
    digest = hashlib.sha256(variant.name.encode()).hexdigest()
    return {
        "kind": "synthetic", "description": "synthetic (revealing, seed 0)", "digest": digest,
    }  # fmt: skip


def _stages() -> Iterator[tuple[str, dict[str, Any]]]:
    jax = {"equinox": "0.13.8", "jax": "0.10.2", "jaxlib": "0.10.2", "runtime": "jax 0.10.2"}
    rest = {"device": "cpu", "precision": "float32", "absent": {}}
    yield "equimo", {"equimo": "1.1.0", **jax, **rest}
    yield "mapped", {"jax2onnx": "0.17.1", **jax, **rest}
    file = {"form": "batch", "opset": "21", "level": "all"}
    runtime = {"runtime": "onnxruntime 1.32.0 batch all", "onnxruntime": "1.32.0"}
    yield "onnx", {**runtime, **rest, "device": "CPUExecutionProvider", **file}


_PEAK = 2_306_080_768


def _costs(variant: Variant) -> dict[str, Any]:
    rng = stream(variant.name, "costs")
    places = ["embed", *map(str, range(variant.depth)), "head"]
    return {
        "peak_resident_bytes": _PEAK,
        "seconds": {
            who: {place: round(float(rng.uniform(0.01, 0.1)), 4) for place in places}
            for who in ("reference", *RUNTIMES)
        },
    }


def _artifacts(variant: Variant) -> Iterator[dict[str, Any]]:
    for kind in ("recording", "equimo", "mapped", "onnx-size", "onnx-static", "onnx-batch"):
        key = hashlib.sha256(f"{variant.name} {kind}".encode()).hexdigest()[:20]
        yield {
            "kind": kind, "variant": variant.name, "key": f"{variant.name}-{key}",
            "made_now": kind != "recording", "made_in": 2.5, "seconds": 2.6, "process": "main",
        }  # fmt: skip


def fulfilment(tests: Iterable[Asked], groups: Iterable[Group]) -> dict[str, Any]:
    """How much of what the tests declare is there, and what is not."""
    declared = {(t.test, str(drawn)): len(t.places) for t in tests for drawn in t.inputs}
    there = dict.fromkeys(declared, 0) | {(t.test, str(i)): len(found) for t, i, found in groups}
    return {
        "declared": sum(declared.values()),
        "compared": sum(there.values()),
        "inputs": len({drawn for _, drawn in declared}),
        "missing": [
            {"test": test, "input": drawn, "declared": n, "compared": there[test, drawn]}
            for (test, drawn), n in declared.items()
            if there[test, drawn] < n
        ],
    }


def _failures(groups: list[Group]) -> list[dict[str, str]]:
    """What each failed test says of the smallest input that it failed on, as the gauge words it."""
    told: dict[str, tuple[Input, str]] = {}
    size = lambda drawn: drawn.batch * math.prod(drawn.grid)
    for test, drawn, records in groups:
        found = divergence.first(records)
        if not found or (test.test in told and size(told[test.test][0]) <= size(drawn)):
            continue
        failed = sum(not m.passed for m in records)
        words = [str(found)]
        if not found.worst.problem:
            inside = found.worst.profile or _profile(test.variant, found.worst)
            words.append(picture.draw(test.variant, found.worst, inside))
        words.append(f"{failed} of {len(records)} comparisons failed on {drawn}.")
        words.append(f"Reproduce: {found.command}")
        told[test.test] = drawn, "\n".join(words)
    return [{"test": t, "input": str(drawn), "words": words} for t, (drawn, words) in told.items()]


def _profile(variant: Variant, m: Measurement) -> dict[str, Any]:
    shape = extent(TAPS[m.tap], variant, m.batch, m.grid)
    return profile(vars(m), list(shape), stream(m.variant, m.stage, m.place))


def _test(test: Asked, groups: list[Group], failures: list[dict[str, str]]) -> dict[str, Any]:
    """A test's outcome, and where it first departed or was strongest."""
    standing = Standing(lambda records: None)
    for of, _, records in groups:
        if of == test:
            standing.take(records)
    words = next((told["words"] for told in failures if told["test"] == test.test), "")
    about = {"layer": test.layer, "variant": test.variant.name, "stage": test.stage}
    return {
        "test": test.test, "outcome": "failed" if words else "passed",
        "seconds": round(0.01 * len(test.places), 4), "words": words,
        "properties": about | standing.properties(),
    }  # fmt: skip


# The folders


COMMAND = "pytest -k vits16"


def clean(folder: Path, seed: int = 0) -> Path:
    """A run of vits16 through every stage, in which all hold."""
    tests = asked(VITS16)
    groups = groups_of(tests, seed)
    return _write(folder, run(COMMAND, tests, groups), groups)


def _write(folder: Path, told: dict[str, Any], groups: Iterable[Group]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / MEASUREMENTS
    file.write_text("")
    measurement.write(file, [m for _, _, records in groups for m in records])
    (folder / RUN).write_text(json.dumps(told, indent=1))
    return folder


#: How far a block's taps are over the floor where the bias of its keys is not masked, as measured.
WRONG_KEYS = {
    "attn.k_proj": 1.6e6, "attn.k": 1.6e6, "attn.logits": 1e6, "attn.probs": 4.8e5,
    "attn.context": 4.3e5, "attn.out": 3.6e5, "ls1": 3.5e5, "residual1": 3.4e5, "norm2": 3e5,
    "ffn.gate": 1.4e5, "ffn.up": 1.4e5, "ffn.hidden": 1.3e5, "ffn.out": 1e5, "ls2": 1e5,
    "output": 2.6e5,
}  # fmt: skip


def faulty(folder: Path, seed: int = 0) -> Path:
    """The same where equimo's keys are wrong in every block, and mapped and onnx have its weights."""
    tests = asked(VITS16)
    groups = passed_on(groups_of(tests, seed, wrong_keys(VITS16)))
    return _write(folder, run(COMMAND, tests, groups), groups)


def passed_on(groups: list[Group]) -> list[Group]:
    """The same where a stage that has another's wrong weights errs as that does, up to rounding."""
    first = {
        _place_and_input(m): m
        for _, _, records in groups
        for m in records
        if m.stage == "equimo" and not m.passed
    }
    figures = ("ratio", "token_ratio", "token", "max_abs", "max_abs_index", "rel_max", "cosine")

    def same(m: Measurement) -> Measurement:
        given = first.get(_place_and_input(m))
        if m.passed or given is None:
            return m
        return replace(m, **{name: getattr(given, name) for name in figures}, profile=given.profile)

    return [(test, drawn, [same(m) for m in records]) for test, drawn, records in groups]


def _place_and_input(m: Measurement) -> tuple:
    return m.mode, m.block, m.tap, m.input


def wrong_keys(variant: Variant) -> dict[Place, float]:
    """What wrong keys do: each block alone is as wrong as any other, the chain more and more."""
    factors: dict[Place, float] = {}
    for stage in HONEST:
        for block in range(variant.depth):
            for tap, factor in WRONG_KEYS.items():
                factors[Place(stage, ISOLATED, block, tap)] = factor
            for tap in ("residual1", "output"):
                factors[Place(stage, CHAINED, block, tap)] = WRONG_KEYS[tap] * math.sqrt(1 + block)
            handed_on = Place(stage, CHAINED, block - 1, "output")
            factors[Place(stage, CHAINED, block, "input")] = factors.get(handed_on, 1.0)
        last = factors[Place(stage, CHAINED, variant.depth - 1, "output")]
        for tap in ("norm", "cls", "registers", "patches", "pooled"):
            factors[Place(stage, CHAINED, None, tap)] = 0.6 * last
    return factors


def huge(folder: Path, count: int = 200_000, seed: int = 0) -> Path:
    """At least ``count`` records: a search, whose inputs differ between vits16 and vits16plus."""
    each = -(-count // 2_000)  # an input costs more than a thousand comparisons of either
    others = iter(other_inputs(2 * each, seed))
    tests = []
    for name in ("vits16", "vits16plus"):
        own = (SMALL, SQUARE, *(next(others) for _ in range(each - 2)))
        tests += asked(VARIANTS[name], own)
    folder.mkdir(parents=True, exist_ok=True)
    encode = json.JSONEncoder(allow_nan=False).encode
    kept: list[Group] = []  # what run.json tells of needs no more than these
    with (folder / MEASUREMENTS).open("w", encoding="utf-8") as stream:
        for test, one, found in measured(tests, seed):
            stream.write("".join(encode(fields) + "\n" for fields in found))
            kept.append(
                (test, one, [measurement.measured(f) for f in found if f["tap"] == "output"])
            )
    command = "pytest -k 'vits16 or vits16plus' --hypothesis-profile search"
    told = run(command, tests, kept, "search")
    whole = ((test, one, test.places) for test in tests for one in test.inputs)
    told |= {"exit": "ok", "contract": fulfilment(tests, whole)}
    (folder / RUN).write_text(json.dumps(told, indent=1))
    return folder


def empty(folder: Path) -> Path:
    """A run that declared everything and measured nothing."""
    return _write(folder, run(COMMAND, asked(VITS16), []), [])


def cut_off(folder: Path, seed: int = 0, kept: float = 0.7) -> Path:
    """A clean run whose measurements end in the middle of a line; what is missing, its contract says."""
    tests = asked(VITS16)
    groups = groups_of(tests, seed)
    there = int(kept * sum(len(records) for _, _, records in groups))
    shorter = []
    for test, one, records in groups:
        shorter.append((test, one, records[: max(there, 0)]))
        there -= len(records)
    _write(folder, run(COMMAND, tests, shorter), groups)
    file = folder / MEASUREMENTS
    complete = sum(len(records) for _, _, records in shorter)
    known = file.read_text().splitlines(keepends=True)
    file.write_text("".join(known[:complete]) + known[complete][: len(known[complete]) // 2])
    return folder


def killed(folder: Path, seed: int = 0) -> Path:
    """A clean run that was killed half-way: fragments, the last line cut off, and no run.json."""
    tests = asked(VITS16)
    groups = groups_of(tests, seed)
    scribe = Scribe(folder, "0f1e2d3c4b5a", "main")
    scribe.declare([
        {"test": t.test, "inputs": [str(one) for one in t.inputs], "declared": len(t.places)}
        for t in tests
    ])  # fmt: skip
    for test, one, records in groups[: len(groups) // 2]:
        scribe.record(records)
        scribe.account(test.test, [Account(one, len(test.places), len(records))])
    (fragment,) = (folder / FRAGMENTS).glob("*.jsonl")
    fragment.write_text(fragment.read_text()[:-100])
    return folder


#: Against ``clean``, what ``worse`` multiplies the ratios of a place by; the first goes over its limit.
WORSE = {
    Place("mapped", ISOLATED, 5, "ffn.hidden"): 25.0,
    Place("equimo", ISOLATED, 3, "attn.v_proj"): 1.6,
    Place("onnx", CHAINED, 7, "residual1"): 1.6,
}
BETTER = {
    Place("equimo", ISOLATED, 9, "norm2"): 0.5,
    Place("onnx", ISOLATED, None, "patches"): 0.5,
}
#: What ``clean`` has and ``worse`` has not: mapped's blocks do not show it any more, and say why. The
#: other way round it is ``NEW``, which equimo's chain shows.
GONE = "attn.probs"


def worse(folder: Path, seed: int = 0) -> Path:
    """``clean`` some commits later: three places are worse, two better, one tap is new, one is gone."""
    tests, factors = asked(VITS16), WORSE | BETTER
    chain = next(test for test in tests if (test.stage, test.layer) == ("equimo", "backbone"))
    anew = tuple(Place("equimo", CHAINED, block, NEW) for block in range(VITS16.depth))
    more = {one: new for _, one, new in groups_of([replace(chain, places=anew)], seed)}
    groups = []
    for test, one, records in groups_of(tests, seed, factors):
        records = [m for m in records if not _gone(m)] + (more[one] if test == chain else [])
        places = tuple(p for p in test.places if not _gone(p)) + (anew if test == chain else ())
        groups.append((replace(test, places=places), one, records))
    told = run(
        f"{COMMAND} --report-dir later", list(dict.fromkeys(of for of, _, _ in groups)), groups
    )
    told |= {"started": "2026-11-25T10:58:33+00:00", "finished": "2026-11-25T10:59:04+00:00"}
    told["stages"]["vits16 mapped"]["absent"] = {GONE: "attention is fused"}
    told["versions"]["equimo"] = "1.1.1"
    return _write(folder, told, groups)


def _gone(at: Place | Measurement) -> bool:
    return (at.stage, at.mode, at.tap) == ("mapped", ISOLATED, GONE)


#: Names as nobody should choose them. A page that lets one of them run sets ``window.hacked``.
HOSTILE = {
    "markup": '<img src=x onerror="window.hacked=1"><b>bold</b>',
    "script": "</script><script>window.hacked=1</script><!--",
    "quotes": "\"'`&amp;&lt;\\ ${window.hacked=1} {{7*7}} {% raw %}",
    "lines": "one\r\ntwo\u2028three\tfour",
    "long": "Donaudampfschifffahrtsgesellschaft" * 12,
    "right to left": "\u202eevil\u202c שלום مرحبا",
    "prototype": "__proto__",
}


def hostile(folder: Path, seed: int = 0) -> Path:
    """A small run in which everything that has a name has one of ``HOSTILE``."""
    blocks = next(test for test in asked(VITS16, INPUTS[:2]) if test.layer == "blocks")
    blocks = replace(blocks, places=tuple(place for place in blocks.places if place.block < 2))
    groups = []
    for name in HOSTILE.values():
        for _, one, records in groups_of([blocks], seed):
            own = replace(blocks, test=f"parity/test_{name}.py::test_{name}", stage=name)
            renamed = [replace(m, stage=name, runtime=name, floor_setter=name) for m in records]
            renamed[3] = _broken(renamed[3], name)
            renamed[4] = replace(renamed[4], layer=name, fault=name)
            groups.append((own, one, renamed))
    told = run("", list({test.test: test for test, _, _ in groups}.values()), groups)
    everything = " ".join(HOSTILE.values())
    told["command"] = f"pytest -k {everything}"
    told["store"] = told["host"]["system"] = told["exit"] = everything
    told["checkpoints"]["vits16"] |= {"kind": HOSTILE["markup"], "description": everything}
    told["versions"] |= {name: name for name in HOSTILE.values()}
    told["stages"] = {
        f"vits16 {name}": {"runtime": name, name: name, "absent": {"attn.probs": name}}
        for name in HOSTILE.values()
    }
    told["contract"]["missing"] = [
        {"test": name, "input": str(SMALL), "declared": 2, "compared": 1}
        for name in HOSTILE.values()
    ]
    for made, name in zip(told["artifacts"], HOSTILE.values(), strict=False):
        made |= {"kind": name, "key": name, "process": name}
    for test, name in zip(told["tests"], HOSTILE.values(), strict=True):
        test["properties"] |= {name: name}
    return _write(folder, told, groups)


def _broken(m: Measurement, problem: str) -> Measurement:
    """A measurement of a tap that could not be compared."""
    return replace(
        m, ratio=None, max_abs=None, max_abs_index=(), rel_max=None, cosine=None, token=(),
        token_ratio=None, passed=False, problem=problem, profile=None,
    )  # fmt: skip


# The matrix


VERSIONS, OPSETS = ("1.22.1", "1.27.0", "1.32.0"), (15, 18, 21, 24)


def matrix(folder: Path, seed: int = 0) -> Path:
    """An onnxruntime matrix, a folder a version: one opset that kills each, one that the oldest
    refuses, and a drift at the higher levels of the version after it."""
    for version in VERSIONS:
        own = folder / f"ort{version.rpartition('.')[0]}"
        own.mkdir(parents=True, exist_ok=True)
        told = {
            "kind": "matrix", "onnxruntime": version, "numpy": "2.4.6", "python": "3.11.7",
            "system": "Linux-6.18.44-x86_64-with-glibc2.36", "cores": 2,
            "started": "2026-11-24T10:58:33+00:00", "seconds": 12.5, "shard": "1/1",
            "bundle": hashlib.sha256(b"bundle").hexdigest(), "title": "vits16, synthetic",
            "variant": "vits16", "frameworks": [], "unmatched": [], "checkpoint": _checkpoint(VITS16),
        }  # fmt: skip
        (own / RUN).write_text(json.dumps(told, indent=1))
        rng = stream(seed, version)
        records = [_record(cell, rng) for cell in _cells(version)]
        text = "".join(json.dumps(one.line(), allow_nan=False) + "\n" for one in records)
        (own / "cells.jsonl").write_text(text)
    return folder


def _cells(version: str) -> Iterator[Cell]:
    for opset in OPSETS:
        for form in ("mislabelled",) if opset == 15 else ("static", "batch"):
            for level in LEVELS:
                for threads in THREADS:
                    yield Cell(
                        version, f"{form}-{opset}", opset, form, "float32", level, threads
                    )  # fmt: skip
    for precision in ("float16", "int8"):
        for level in LEVELS:
            yield Cell(version, f"static-21-{precision}", 21, "static", precision, level, 0)


def _record(cell: Cell, rng: np.random.Generator) -> Record:
    if cell.form == "mislabelled":
        return Record(cell, CRASH, words="SIGSEGV while loading")
    if (cell.version, cell.opset) == ("1.22.1", 24):
        words = "ONNX Runtime only *guarantees* support for models stamped with official released"
        return Record(cell, UNSUPPORTED, words=f"{words} onnx opset versions. Opset 24 is not.")
    drawn = SQUARE if cell.form == "static" else EXPORTED
    ratio = float(rng.lognormal(0, 0.1))
    figures = {"tap": "pooled", "input": str(drawn), "cosine": 1.0, "max_abs": 2e-6 * ratio}
    growth = {str(block): ratio * (1 + 0.02 * block) for block in range(VITS16.depth)}
    if cell.precision != "float32":
        words = "times the error of the truth with weights rounded to this type"
        errors = {block: 1e-3 * value for block, value in growth.items()}
        figures |= {"cosine": 0.99991, "max_abs": 0.02 * ratio, "words": words}
        return Record(cell, LOW, ratio=ratio, growth=errors, **figures)
    if (cell.version, cell.opset) == ("1.27.0", 24) and cell.level in ("extended", "all"):
        figures |= {"ratio": 40 * ratio, "max_abs": 8e-5 * ratio, "limit": LIMITS["pooled"].whole}
        return Record(cell, DRIFT, first=f"block 3, output (41.2, {drawn})", **figures)
    seen = 3e-6 * ratio if cell.form == "static" and cell.threads == 0 else None
    return Record(cell, OK, ratio=ratio, limit=LIMITS["pooled"].whole, observer=seen, **figures)
