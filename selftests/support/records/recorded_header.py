"""What run.json says of a run that is made up, by the suite's own words where it has them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from dinov3_parity.fixtures.pytest_plugin.outcomes import Standing
from dinov3_parity.fixtures.stages import registry
from dinov3_parity.parity import picture
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.chosen import SMALL, SQUARE
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import divergence, lines
from dinov3_parity.parity.records.measurement import FORMAT, Measurement
from dinov3_parity.reports.figures import costs

from selftests.support.records.figures import (
    RUNTIMES,
    Asked,
    Group,
    breakdown,
    stream,
)


def run(
    command: str, tests: list[Asked], groups: Iterable[Group], profile: str = "quick"
) -> dict[str, Any]:
    """What run.json says of some tests and what is there of their measurements."""
    groups = list(groups)
    found = [m for _, _, records in groups for m in records]
    variants = list(dict.fromkeys(test.variant for test in tests))
    failures, kept = _failures(groups), fulfilment(tests, groups)
    told = {
        "format": FORMAT,
        "id": hashlib.sha256(command.encode()).hexdigest()[:12],
        "command": command,
        "options": [], "program": "pytest", "deviations": [],
        "references": {"path": "", "sha256": "", "written_by": "", "packages": {}},
        "started": "2026-11-24T10:58:33+00:00",
        "seconds": 31.64,
        "called": {"vit": registry.called("vit")},
        "pipeline": [
            {"name": info.name, "parent": info.parent, "packages": list(info.told)}
            for info in registry.stages().values()
        ],
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
        "checkpoints": {variant.name: checkpoint(variant) for variant in variants},
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


def checkpoint(variant: Variant) -> dict[str, str]:
    digest = hashlib.sha256(variant.name.encode()).hexdigest()
    return {
        "kind": "synthetic", "description": "synthetic (revealing, seed 0)", "digest": digest,
    }  # fmt: skip


def _stages() -> Iterator[tuple[str, dict[str, Any]]]:
    jax = {"equinox": "0.13.8", "jax": "0.10.2", "jaxlib": "0.10.2", "runtime": "jax 0.10.2"}
    of_files = dict.fromkeys(("input", "outputs", "numbers", "not_compared"), "")
    rest = {"device": "cpu", "precision": "float32", "absent": {}, "called": {}} | of_files
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
    """What each failed test says of the smallest input that it failed on, as the comparator words it."""
    told: dict[str, tuple[Input, str]] = {}
    size = lambda drawn: drawn.batch * math.prod(drawn.grid)
    for test, drawn, records in groups:
        found = divergence.first(records)
        if not found or (test.test in told and size(told[test.test][0]) <= size(drawn)):
            continue
        failed = sum(m.failed for m in records)
        words = [str(found)]
        if not found.worst.problem:
            inside = found.worst.breakdown or _breakdown(test.variant, found.worst)
            words.append(picture.draw(test.variant, found.worst, inside))
        words.append(f"{failed} of {len(records)} comparisons failed on {drawn}.")
        words.append(f"Reproduce: {found.command}")
        told[test.test] = drawn, "\n".join(words)
    return [{"test": t, "input": str(drawn), "words": words} for t, (drawn, words) in told.items()]


def _breakdown(variant: Variant, m: Measurement) -> dict[str, Any]:
    shape = VIT.extent(VIT.taps[m.tap], variant, m.batch, m.grid)
    return breakdown(lines.fields(m), list(shape), stream(m.variant, m.stage, m.where))


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
