"""Run folders that look as real ones do, written without any framework: what the report is tried on.

What is measured in them is drawn by ``figures``, the same from the same seed; what is said of it is
said by the suite's own code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.inputs.chosen import SMALL, SQUARE
from dinov3_parity.parity.records import lines
from dinov3_parity.parity.records.account import Account
from dinov3_parity.parity.records.deviations import Deviation, judged
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, Measurement
from dinov3_parity.parity.records.run_folder import FRAGMENTS, MEASUREMENTS, RUN, RecordWriter
from msgspec.structs import replace as changed

from selftests.support.records.figures import (
    HONEST,
    INPUTS,
    NEW,
    Group,
    Place,
    asked,
    groups_of,
    measured,
    other_inputs,
)
from selftests.support.records.recorded_header import fulfilment, run

VITS16 = VARIANTS["vits16"]

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
    lines.write(file, [m for _, _, records in groups for m in records])
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


def known(folder: Path, seed: int = 0) -> Path:
    """The same where all of that is listed of the three stages, with ceilings."""
    tests, after = asked(VITS16), {tap: 1e7 for tap in WRONG_KEYS if tap != "attn.k_proj"}
    chained = dict.fromkeys(("input", "norm", "cls", "registers", "patches", "pooled"), 1e7)
    entry = Deviation(
        "d.toml, entry 1", ["equimo", "mapped", "onnx"], ["*"], ["attn.k_proj"], 1e7, after | chained,
        reason="k's bias is not masked", until="2099-01-01",
    )  # fmt: skip
    groups = [
        (test, drawn, [judged(m, [entry]) for m in records])
        for test, drawn, records in passed_on(groups_of(tests, seed, wrong_keys(VITS16)))
    ]
    told = run(COMMAND, tests, groups) | {"deviations": [msgspec.to_builtins(entry)]}
    return _write(folder, told, groups)


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
        return changed(
            m, **{name: getattr(given, name) for name in figures}, breakdown=given.breakdown
        )

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
            kept.append((test, one, [lines.measured(f) for f in found if f["tap"] == "output"]))
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
    writer = RecordWriter(folder, "0f1e2d3c4b5a", "main")
    writer.declare([
        {"test": t.test, "inputs": [str(one) for one in t.inputs], "declared": len(t.places)}
        for t in tests
    ])  # fmt: skip
    for test, one, records in groups[: len(groups) // 2]:
        writer.record(records)
        writer.account(test.test, [Account(one, len(test.places), len(records))])
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
            renamed = [changed(m, stage=name, runtime=name, floor_setter=name) for m in records]
            renamed[3] = _broken(renamed[3], name)
            renamed[4] = changed(renamed[4], layer=name, fault=name)
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
    return changed(
        m, ratio=None, max_abs=None, max_abs_index=(), rel_max=None, cosine=None, token=(),
        token_ratio=None, passed=False, problem=problem, breakdown=None,
    )  # fmt: skip
